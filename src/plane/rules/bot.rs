//! `bot`: a user and a role of one name, seen as one thing.

use prost::Message as _;

use super::{Rules, Tx, decode, empty, read, role, user, write};
use crate::plane::status::Status;
use crate::wire::message::teleport::header::v1 as header;
use crate::wire::message::teleport::machineid::v1 as machineid;
use crate::wire::message::{types, wrappers};

const KIND: &str = "bot";

/// Marks user and role with the bot's name.
const BOT_LABEL: &str = "teleport.internal/bot";

/// Counts the certificates of the bot, on its user.
const GENERATION_LABEL: &str = "teleport.internal/bot-generation";

/// Nanoseconds: a bot's certificates live for 12 hours unless told otherwise.
const MAX_SESSION_TTL: i64 = 12 * 60 * 60 * NANOS;

const NANOS: i64 = 1_000_000_000;

pub(super) static RULES: Rules = Rules {
    kind: KIND,
    methods: &[
        read("/teleport.machineid.v1.BotService/GetBot", get),
        read("/teleport.machineid.v1.BotService/ListBots", list),
        write("/teleport.machineid.v1.BotService/CreateBot", create),
        write("/teleport.machineid.v1.BotService/UpdateBot", update),
        write("/teleport.machineid.v1.BotService/UpsertBot", upsert),
        write("/teleport.machineid.v1.BotService/DeleteBot", delete),
    ],
    events: None,
    expire: None,
};

/// The name of a bot's user and role.
fn resource_name(bot: &str) -> String {
    format!("bot-{}", bot.replace(' ', "-"))
}

/// Says in which step an error arose, as the real server does.
fn during(step: &str) -> impl FnOnce(Status) -> Status + '_ {
    move |status| {
        let message = format!("{step}\n\t{}", status.message.replace('\n', "\n\t"));
        Status { message, ..status }
    }
}

fn role_missing(name: &str) -> Status {
    Status::not_found(format!("role {name} is not found"))
}

fn get(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: machineid::GetBotRequest = decode(body)?;
    tx.allow(KIND, "read")?;
    if request.bot_name.is_empty() {
        return Err(Status::invalid("bot_name: must be non-empty"));
    }
    let name = resource_name(&request.bot_name);
    let user = tx.cached(user::KIND, &name).ok_or_else(|| user::missing(&name));
    let user = user.and_then(user::load).map_err(during("fetching bot user"))?;
    let role = tx.cached(role::KIND, &name).ok_or_else(|| role_missing(&name));
    let role = role.and_then(role::load).map_err(during("fetching bot role"))?;
    Ok(assemble(&user, &role)?.encode_to_vec())
}

fn list(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: machineid::ListBotsRequest = decode(body)?;
    tx.allow(KIND, "list")?;
    // A page of users, of whom those are shown that are bots.
    let (users, next_page_token) =
        user::page_of(tx, &request.page_token, request.page_size, |_| true);
    let bots = users.iter().filter_map(|user| {
        let name = resource_name(labels(user).get(BOT_LABEL)?);
        let role = role::load(tx.cached(role::KIND, &name)?).ok()?;
        assemble(user, &role).ok()
    });
    let bots = bots.collect();
    Ok(machineid::ListBotsResponse { bots, next_page_token }.encode_to_vec())
}

fn create(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: machineid::CreateBotRequest = decode(body)?;
    let bot = request.bot.ok_or_else(no_bot)?;
    tx.allow(KIND, "create")?;
    check(&bot).map_err(during("validating bot"))?;
    let (user, role) = split(tx, &bot);
    let user = user::insert(tx, user).map_err(during("creating bot user"))?;
    let role = role::insert(tx, role).map_err(during("creating bot role"))?;
    Ok(assemble(&user, &role)?.encode_to_vec())
}

fn upsert(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: machineid::UpsertBotRequest = decode(body)?;
    let bot = request.bot.ok_or_else(no_bot)?;
    tx.allow_all(KIND, &["update", "create"])?;
    check(&bot).map_err(during("validating bot"))?;
    let (mut user, role) = split(tx, &bot);
    if let Some(item) = tx.stored(user::KIND, &user::name_of(&user)) {
        let existing = user::load(item)?;
        let Some(generation) = labels(&existing).get(GENERATION_LABEL).cloned() else {
            return Err(Status::invalid(
                "unable to determine existing generation for bot due to missing label",
            ));
        };
        let labels = &mut user.metadata.get_or_insert_default().labels;
        labels.insert(GENERATION_LABEL.to_owned(), generation);
    }
    user::check_key(&user).map_err(during("upserting bot user"))?;
    let user = user::put(tx, user);
    let role = role::install(tx, role);
    Ok(assemble(&user, &role)?.encode_to_vec())
}

fn no_bot() -> Status {
    Status::invalid("bot: must be non-nil")
}

fn check(bot: &machineid::Bot) -> Result<(), Status> {
    let Some(metadata) = &bot.metadata else {
        return Err(Status::invalid("metadata: must be non-nil"));
    };
    if metadata.name.is_empty() {
        return Err(Status::invalid("metadata.name: must be non-empty"));
    }
    let spec = bot.spec.as_ref().ok_or_else(|| Status::invalid("spec: must be non-nil"))?;
    check_roles(spec)
}

fn check_roles(spec: &machineid::BotSpec) -> Result<(), Status> {
    if spec.roles.iter().any(String::is_empty) {
        return Err(Status::invalid("spec.roles: must not contain empty strings"));
    }
    Ok(())
}

fn update(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: machineid::UpdateBotRequest = decode(body)?;
    let bot = request.bot.ok_or_else(no_bot)?;
    tx.allow(KIND, "update")?;
    let Some(metadata) = &bot.metadata else {
        return Err(Status::invalid("bot.metadata: must be non-nil"));
    };
    if metadata.name.is_empty() {
        return Err(Status::invalid("bot.metadata.name: must be non-empty"));
    }
    let spec = bot.spec.as_ref().ok_or_else(|| Status::invalid("bot.spec: must be non-nil"))?;
    let mask = request.update_mask;
    let mask = mask.ok_or_else(|| Status::invalid("update_mask: must be non-nil"))?;
    if mask.paths.is_empty() {
        return Err(Status::invalid("update_mask.paths: must be non-empty"));
    }
    let name = resource_name(&metadata.name);
    let user = tx.stored(user::KIND, &name).ok_or_else(|| user::not_found(&name));
    let mut user = user.and_then(user::load).map_err(during("getting bot user"))?;
    let role = tx.stored(role::KIND, &name).ok_or_else(|| role_missing(&name));
    let mut role = role.and_then(role::load).map_err(during("getting bot role"))?;
    for path in &mask.paths {
        apply(path, spec, &mut user, &mut role)?;
    }
    let user = user::put(tx, user);
    let role = role::install(tx, role);
    Ok(assemble(&user, &role)?.encode_to_vec())
}

fn apply(
    path: &str,
    spec: &machineid::BotSpec,
    user: &mut types::UserV2,
    role: &mut types::RoleV6,
) -> Result<(), Status> {
    let of_role = role.spec.get_or_insert_default();
    match path {
        "spec.roles" => {
            check_roles(spec)?;
            let allow = of_role.allow.get_or_insert_default();
            allow.impersonate = Some(types::ImpersonateConditions {
                roles: spec.roles.clone(),
                ..Default::default()
            });
        }
        "spec.traits" => user.spec.get_or_insert_default().traits = Some(traits(spec)),
        "spec.max_session_ttl" => {
            of_role.options.get_or_insert_default().max_session_ttl =
                spec.max_session_ttl.map_or(0, nanos);
        }
        other => {
            return Err(Status::invalid(format!(
                "update_mask: unsupported path {}",
                super::metadata::quoted(other)
            )));
        }
    }
    Ok(())
}

fn delete(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: machineid::DeleteBotRequest = decode(body)?;
    if request.bot_name.is_empty() {
        return Err(Status::invalid("bot_name: must be non-empty"));
    }
    tx.allow(KIND, "delete")?;
    let name = resource_name(&request.bot_name);
    let halves = [
        delete_user(tx, &request.bot_name, &name).map_err(during("deleting bot user")),
        delete_role(tx, &request.bot_name, &name).map_err(during("deleting bot role")),
    ];
    let failed: Vec<Status> = halves.into_iter().filter_map(Result::err).collect();
    let texts: Vec<&str> = failed.iter().map(|status| status.message.as_str()).collect();
    match failed.first() {
        None => Ok(empty()),
        Some(first) => Err(Status::new(first.code, texts.join(", "))),
    }
}

fn delete_user(tx: &mut Tx<'_>, bot: &str, name: &str) -> Result<(), Status> {
    let user = tx.stored(user::KIND, name).ok_or_else(|| user::not_found(name));
    let user = user.and_then(user::load).map_err(during("fetching bot user"))?;
    if labels(&user).get(BOT_LABEL).is_none_or(|it| it != bot) {
        return Err(Status::invalid(
            "user missing bot label matching bot name; consider manually deleting user",
        ));
    }
    tx.remove(user::KIND, name);
    Ok(())
}

fn delete_role(tx: &mut Tx<'_>, bot: &str, name: &str) -> Result<(), Status> {
    let role = tx.stored(role::KIND, name).ok_or_else(|| role_missing(name));
    let role = role.and_then(role::load).map_err(during("fetching bot role"))?;
    if role.metadata.is_none_or(|it| it.labels.get(BOT_LABEL).is_none_or(|it| it != bot)) {
        return Err(Status::invalid(
            "role missing bot label matching bot name; consider manually deleting role",
        ));
    }
    tx.remove(role::KIND, name);
    Ok(())
}

fn labels(user: &types::UserV2) -> std::collections::BTreeMap<String, String> {
    user.metadata.as_ref().map(|metadata| metadata.labels.clone()).unwrap_or_default()
}

/// The user and the role that stand for a bot.
fn split(tx: &Tx<'_>, bot: &machineid::Bot) -> (types::UserV2, types::RoleV6) {
    let metadata = bot.metadata.clone().unwrap_or_default();
    let spec = bot.spec.clone().unwrap_or_default();
    let name = resource_name(&metadata.name);
    let expires = metadata.expires.filter(|at| at.seconds > 0);
    let mark = (BOT_LABEL.to_owned(), metadata.name.clone());
    let mut labels = metadata.labels;
    labels.extend([mark.clone(), (GENERATION_LABEL.to_owned(), "0".to_owned())]);
    let user = types::UserV2 {
        metadata: Some(types::Metadata {
            name: name.clone(),
            namespace: super::NAMESPACE.to_owned(),
            labels,
            expires,
            ..Default::default()
        }),
        spec: Some(types::UserSpecV2 {
            roles: vec![name.clone()],
            traits: Some(traits(&spec)),
            created_by: Some(user::by(tx, Some(tx.now.wall))),
            ..Default::default()
        }),
        ..Default::default()
    };
    let role = types::RoleV6 {
        version: "v8".to_owned(),
        metadata: Some(types::Metadata {
            description: format!("Automatically generated role for bot {}", metadata.name),
            name,
            labels: [mark].into(),
            expires,
            ..Default::default()
        }),
        spec: Some(role_spec(&spec)),
        ..Default::default()
    };
    (user, role)
}

fn role_spec(spec: &machineid::BotSpec) -> types::RoleSpecV6 {
    types::RoleSpecV6 {
        options: Some(types::RoleOptions {
            max_session_ttl: spec.max_session_ttl.map_or(MAX_SESSION_TTL, nanos),
            ..Default::default()
        }),
        allow: Some(types::RoleConditions {
            rules: vec![types::Rule {
                resources: vec!["cert_authority".to_owned()],
                verbs: vec![super::access::READ_NO_SECRETS.to_owned()],
                ..Default::default()
            }],
            impersonate: Some(types::ImpersonateConditions {
                roles: spec.roles.clone(),
                ..Default::default()
            }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// Values of one trait may come in several parts; a trait without values is none.
fn traits(spec: &machineid::BotSpec) -> wrappers::LabelValues {
    let mut all = wrappers::LabelValues::default();
    for part in spec.traits.iter().filter(|part| !part.values.is_empty()) {
        let values = all.values.entry(part.name.clone()).or_default();
        values.values.extend(part.values.iter().cloned());
    }
    all
}

fn nanos(duration: prost_types::Duration) -> i64 {
    duration.seconds.saturating_mul(NANOS).saturating_add(i64::from(duration.nanos))
}

/// The bot that user and role are.
fn assemble(user: &types::UserV2, role: &types::RoleV6) -> Result<machineid::Bot, Status> {
    let metadata = user.metadata.clone().unwrap_or_default();
    let mut labels = metadata.labels;
    labels.remove(GENERATION_LABEL);
    let name = labels.remove(BOT_LABEL);
    let name =
        name.ok_or_else(|| Status::invalid("converting from resources\n\tuser missing bot label"))?;
    let of_role = role.spec.clone().unwrap_or_default();
    let impersonate = of_role.allow.and_then(|allow| allow.impersonate).unwrap_or_default();
    let ttl = of_role.options.unwrap_or_default().max_session_ttl;
    let traits = user.spec.clone().unwrap_or_default().traits.unwrap_or_default().values;
    let traits = traits.into_iter().filter(|(_, values)| !values.values.is_empty());
    Ok(machineid::Bot {
        kind: KIND.to_owned(),
        version: "v1".to_owned(),
        metadata: Some(header::Metadata {
            name,
            labels,
            expires: metadata.expires.filter(|at| at.seconds > 0),
            ..Default::default()
        }),
        spec: Some(machineid::BotSpec {
            roles: impersonate.roles,
            traits: traits
                .map(|(name, values)| machineid::Trait { name, values: values.values })
                .collect(),
            max_session_ttl: Some(prost_types::Duration {
                seconds: ttl / NANOS,
                nanos: i32::try_from(ttl % NANOS).unwrap_or(0),
            }),
        }),
        status: Some(machineid::BotStatus {
            user_name: user::name_of(user),
            role_name: role.metadata.clone().unwrap_or_default().name,
        }),
        ..Default::default()
    })
}
