//! Tokens by which a user sets a password: invitations and resets.

use std::time::Duration;

use prost::Message as _;

use super::{Expiry, NAMESPACE, Rules, Tx, decode, read, timestamp, user, write};
use crate::plane::status::Status;
use crate::plane::store::{Item, View};
use crate::wire::message::{proto, types};

pub(super) const KIND: &str = "user_token";

const HOUR: Duration = Duration::from_hours(1);

pub(super) static RULES: Rules = Rules {
    kind: KIND,
    methods: &[
        write("/proto.AuthService/CreateResetPasswordToken", create),
        read("/proto.AuthService/GetResetPasswordToken", get),
    ],
    events: None,
    expire: None,
};

/// What a type of token is like.
#[derive(Debug)]
struct Type {
    name: &'static str,
    /// The path of its page.
    page: &'static str,
    ttl: Duration,
    ttl_max: Duration,
    /// What it is called when its time is too long.
    words: &'static str,
}

const TYPES: &[Type] = &[
    Type {
        name: "password",
        page: "reset",
        ttl: HOUR.saturating_mul(8),
        ttl_max: HOUR.saturating_mul(24),
        words: "reset password",
    },
    Type {
        name: "invite",
        page: "invite",
        ttl: HOUR,
        ttl_max: HOUR.saturating_mul(48),
        words: "reset password invite",
    },
];

pub(super) fn load(item: &Item) -> Result<types::UserTokenV3, Status> {
    decode(&item.value)
}

fn create(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: proto::CreateResetPasswordTokenRequest = decode(body)?;
    tx.allow(user::KIND, "update")?;
    if request.name.is_empty() {
        return Err(Status::invalid("user name can't be empty"));
    }
    let Ok(nanos) = u64::try_from(request.ttl) else {
        return Err(Status::invalid("TTL can't be negative"));
    };
    let wanted = if request.r#type.is_empty() { "password" } else { &request.r#type };
    let Some(kind) = TYPES.iter().find(|it| it.name == wanted) else {
        return Err(Status::invalid(format!("unknown user token request type({wanted})")));
    };
    let ttl = if nanos == 0 { kind.ttl } else { Duration::from_nanos(nanos) };
    if ttl > kind.ttl_max {
        return Err(Status::invalid(format!(
            "failed to create user token for {}: maximum token TTL is {}h0m0s hours",
            kind.words,
            kind.ttl_max.as_secs() / HOUR.as_secs(),
        )));
    }
    let item = tx.cached(user::KIND, &request.name).ok_or_else(|| user::missing(&request.name))?;
    let created_by = user::load(item)?.spec.unwrap_or_default().created_by.unwrap_or_default();
    if created_by.connector.is_some() {
        return Err(Status::denied("only local users may be reset"));
    }
    Ok(issue(tx, &request.name, kind, ttl).encode_to_vec())
}

/// Makes the token; the user's earlier ones end.
fn issue(tx: &mut Tx<'_>, user: &str, kind: &Type, ttl: Duration) -> types::UserTokenV3 {
    for id in of_user(tx, user) {
        tx.remove(KIND, &id);
    }
    let id = format!("{:016x}{:016x}", tx.rng.u64(..), tx.rng.u64(..));
    let expires = tx.now.wall.plus(ttl);
    let token = types::UserTokenV3 {
        kind: KIND.to_owned(),
        sub_kind: kind.name.to_owned(),
        version: "v3".to_owned(),
        metadata: Some(types::Metadata {
            name: id.clone(),
            namespace: NAMESPACE.to_owned(),
            expires: Some(timestamp(expires)),
            ..Default::default()
        }),
        spec: Some(types::UserTokenSpecV3 {
            user: user.to_owned(),
            url: format!("https://{}/web/{}/{id}", tx.settings.proxy_address, kind.page),
            created: Some(timestamp(tx.now.wall)),
            ..Default::default()
        }),
    };
    tx.put(KIND, &id, &token, Expiry(Some(expires)));
    token
}

fn of_user(tx: &Tx<'_>, user: &str) -> Vec<String> {
    let items = tx.store.list(View::Backend, KIND, "", tx.now);
    let own = items.filter(|(_, item)| {
        load(item).is_ok_and(|token| token.spec.is_some_and(|spec| spec.user == user))
    });
    own.map(|(id, _)| id.to_owned()).collect()
}

/// Who knows the id may read the token.
fn get(tx: &mut Tx<'_>, body: &[u8]) -> Result<Vec<u8>, Status> {
    let request: proto::GetResetPasswordTokenRequest = decode(body)?;
    let item = tx.stored(KIND, &request.token_id);
    let item = item.ok_or_else(|| Status::not_found("user token not found"))?;
    Ok(load(item)?.encode_to_vec())
}
