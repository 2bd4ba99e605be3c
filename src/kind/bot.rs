//! `bot`: a machine's identity.
//!
//! A bot is no resource of its own on the server but a user and a role, both called `bot-NAME`,
//! which come and go with it and are never ours. So it has no revision, and the last writer
//! wins: we read again just before an update or delete, and a window stays open.
//! `UpdateBot` takes a mask and knows neither labels nor expiry; `UpsertBot` writes all of it,
//! keeps the certificate generation, and needs the verbs `create` and `update`.

mod check;

use std::collections::BTreeMap;

use super::{Call, Follow, Kind, List, Page, Phase, Rpc, Visibility, Writes};
use crate::model::{KindName, Readiness, Value};

const BOT_MESSAGE: &str = "teleport.machineid.v1.Bot";

/// The longest session of a bot that says nothing, as Go writes it.
const MAX_SESSION_TTL: &str = "12h0m0s";

/// The same for one that says less than nothing: the default of the role behind it.
const ROLE_SESSION_TTL: &str = "30h0m0s";

/// The row.
pub(super) static BOT: Kind = Kind {
    name: KindName::new("bot"),
    words: &["bot", "bots"],
    versions: &["v1"],
    message: BOT_MESSAGE,
    phase: Phase::Resources,
    writes: Writes::LastWriterWins,
    keeps_labels: true,
    follow: Follow::Poll,
    rpc: Rpc {
        list: List {
            path: "/teleport.machineid.v1.BotService/ListBots",
            request: "teleport.machineid.v1.ListBotsRequest",
            answer: "teleport.machineid.v1.ListBotsResponse",
            items: "bots",
            page: Some(Page::BY_TOKEN),
        },
        old_list: None,
        get: Call {
            path: "/teleport.machineid.v1.BotService/GetBot",
            request: "teleport.machineid.v1.GetBotRequest",
            field: Some("bot_name"),
            answer: BOT_MESSAGE,
        },
        create: Some(Call {
            path: "/teleport.machineid.v1.BotService/CreateBot",
            request: "teleport.machineid.v1.CreateBotRequest",
            field: Some("bot"),
            answer: BOT_MESSAGE,
        }),
        update: Some(Call {
            path: "/teleport.machineid.v1.BotService/UpsertBot",
            request: "teleport.machineid.v1.UpsertBotRequest",
            field: Some("bot"),
            answer: BOT_MESSAGE,
        }),
        delete: Some(Call {
            path: "/teleport.machineid.v1.BotService/DeleteBot",
            request: "teleport.machineid.v1.DeleteBotRequest",
            field: Some("bot_name"),
            answer: super::EMPTY,
        }),
    },
    immutable: &[],
    check: check::check,
    normalize,
    // Roles that a bot may take on need not exist.
    references: None,
    refers_to: &[],
    readiness: |_| Readiness::Ready,
    presets: &[],
    values: Vec::new,
    keeper: |_| None,
    secret_name: |_| false,
    sight: Visibility::Free,
    labelled: None,
};

/// Of the metadata, user and role keep name, labels and expiry; of the traits, what has values,
/// in no order, each name once.
fn normalize(bot: &mut Value) {
    super::set_version(bot, "v1");
    let Value::Map(bot) = bot else { return };
    bot.remove("sub_kind");
    if let Some(Value::Map(metadata)) = bot.get_mut("metadata") {
        metadata.remove("description");
    }
    let spec = bot.entry("spec".into()).or_insert_with(Value::map);
    let Value::Map(spec) = spec else { return };
    let limit = spec.entry("max_session_ttl".into());
    let limit = limit.or_insert_with(|| Value::String(MAX_SESSION_TTL.into()));
    if limit.as_str().is_some_and(|limit| limit.starts_with('-')) {
        *limit = Value::String(ROLE_SESSION_TTL.into());
    }
    if let Some(Value::List(traits)) = spec.get_mut("traits") {
        *traits = gathered(traits);
        if traits.is_empty() {
            spec.remove("traits");
        }
    }
}

/// Traits by name, with the values of those of one name in a row.
fn gathered(traits: &[Value]) -> Vec<Value> {
    let mut all: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for one in traits {
        let name = one.get("name").and_then(Value::as_str).unwrap_or_default();
        if let Some(Value::List(values)) = one.get("values")
            && !values.is_empty()
        {
            all.entry(name).or_default().extend(values.iter().cloned());
        }
    }
    let one = |(name, values): (&str, Vec<Value>)| {
        let mut fields = BTreeMap::from([("values".to_owned(), Value::List(values))]);
        if !name.is_empty() {
            fields.insert("name".to_owned(), Value::String(name.to_owned()));
        }
        Value::Map(fields)
    };
    all.into_iter().map(one).collect()
}
