//! Resource kinds: one file and one row in [`KINDS`] each.
//!
//! Everything that differs between kinds is data here; no other folder names a kind.
//! Deliberately absent: I/O, clocks.

mod bot;
mod check;
mod codec;
mod kube_cluster;
pub mod labelled;
mod remote_cluster;
mod role;
mod token;
mod trusted_cluster;
mod user;
mod workload_cluster;

pub use kube_cluster::kubeconfig;

pub mod call;
pub mod canonical;
pub mod codes;
pub mod hide;
pub mod kube_server;
pub mod newer;
pub mod pasted;
pub mod schema;
pub mod unknown;

pub use self::labelled::{DynamicLabel, LabelParts, Labelled};
use crate::model::{Findings, KindName, Node, Readiness, ResourceId, Value};

/// The one list.
pub static KINDS: &[&Kind] = &[
    &role::ROLE,
    &user::USER,
    &bot::BOT,
    &token::TOKEN,
    &kube_cluster::KUBE_CLUSTER,
    &trusted_cluster::TRUSTED_CLUSTER,
    &remote_cluster::REMOTE_CLUSTER,
    &workload_cluster::WORKLOAD_CLUSTER,
];

/// The row of a kind name as it stands in a manifest (case-sensitive, singular).
pub fn find(name: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|kind| kind.name.as_str() == name)
}

/// The row of a word on the command line: tctl's short forms and plurals, any case.
pub fn find_word(word: &str) -> Option<&'static Kind> {
    let word = word.to_lowercase();
    KINDS.iter().copied().find(|kind| kind.words.contains(&word.as_str()))
}

/// The row of a name that came from [`KINDS`] itself.
pub fn row(name: KindName) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|kind| kind.name == name)
}

/// All that the agent must know of one resource kind.
#[derive(Debug)]
pub struct Kind {
    /// As written in manifests.
    pub name: KindName,
    /// Accepted on the command line, lower case, the name itself first.
    pub words: &'static [&'static str],
    /// Accepted `version:` values, newest first.
    pub versions: &'static [&'static str],
    /// Full name of the protobuf message, `types.RoleV6`.
    pub message: &'static str,
    /// When it is applied, relative to other kinds. Deletes run in reverse.
    pub phase: Phase,
    /// What the server does about a stale revision.
    pub writes: Writes,
    /// Whether the server keeps our labels, so that the ownership mark can be set and read.
    pub keeps_labels: bool,
    /// How changes become known.
    pub follow: Follow,
    /// The calls.
    pub rpc: Rpc,
    /// What cannot change once the resource exists: paths below the resource, `spec.token`;
    /// `spec` means everything in it.
    pub immutable: &'static [&'static str],
    /// Rules beyond the field list, each finding at its place. Gets a document whose fields
    /// and types were found right.
    pub check: fn(&Node, &mut Findings<'_>),
    /// Fills in the defaults of Teleport's own `CheckAndSetDefaults` and brings what means the
    /// same to one form. Idempotent; applied to both desired and live.
    pub normalize: fn(&mut Value),
    /// Of which kinds `references` may name resources: where a manifest of this kind stands,
    /// these must be known as well.
    pub refers_to: &'static [KindName],
    /// Resources that must exist first; none where the kind refers to nothing, so that nobody
    /// reads its canonical form to learn that.
    pub references: Option<fn(&Value) -> Vec<ResourceId>>,
    /// Whether others may build on it.
    pub readiness: fn(&Value) -> Readiness,
    /// Names that Teleport itself makes and keeps (`editor`): never adopted, never deleted.
    pub presets: &'static [&'static str],
    /// Words that may stand in its fields beside those of the field list; asked only where names
    /// may be secrets, to tell what may be shown of a document.
    pub values: fn() -> Vec<&'static str>,
    /// Who else keeps a live resource, where it says so elsewhere than in [`ORIGIN_LABEL`]; one
    /// of [`FOREIGN_ORIGINS`].
    pub keeper: fn(&Value) -> Option<&'static str>,
    /// Whether the name of this very resource is a secret. Always false unless the kind was
    /// named [`KindName::with_secret_names`]. The id of such a resource is veiled
    /// ([`ResourceId::veiled`]), so that its name is never planned, logged or stored.
    pub secret_name: fn(&Value) -> bool,
    /// Who sees it.
    pub sight: Visibility,
    /// For a kind that agents pick by its labels. Only what matches the configured selectors is
    /// kept on the cluster.
    pub labelled: Option<Labelled>,
}

/// Which field of a role decides whether its holder sees a resource, whatever the rules say. It
/// takes labels; in deny rules an expression stands beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// None does.
    Free,
    /// Hidden where this field of a deny rule fits.
    UnlessDenied(&'static str),
    /// That, and hidden where this field of no allow rule fits.
    WhenAllowed(&'static str),
}

impl Visibility {
    /// The field of allow rules without which it is hidden.
    pub const fn allowed_by(self) -> Option<&'static str> {
        match self {
            Self::WhenAllowed(field) => Some(field),
            Self::Free | Self::UnlessDenied(_) => None,
        }
    }

    /// The field of deny rules that hides it.
    pub const fn denied_by(self) -> Option<&'static str> {
        match self {
            Self::WhenAllowed(field) | Self::UnlessDenied(field) => Some(field),
            Self::Free => None,
        }
    }
}

/// Order of creation; deletion runs backwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// What others refer to: roles.
    Access,
    /// What builds on roles: users, bots, tokens, Kubernetes clusters.
    Resources,
    /// Trust with other clusters, from either side; refers to roles.
    Trust,
    /// Child clusters.
    Children,
}

/// What an update with an old revision meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writes {
    /// The server compares revisions: `FailedPrecondition`.
    Conditional,
    /// The last writer wins: we read again just before, and a window stays open.
    LastWriterWins,
    /// There is no update.
    Immutable,
}

/// How we learn of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// By `WatchEvents`; the name of the member of `proto.Event`'s oneof that carries it.
    Watch(&'static str),
    /// Not watchable on any server: listed on the poll clock.
    Poll,
}

/// The calls of a kind.
#[derive(Debug)]
pub struct Rpc {
    /// All of them, by the newest call that we know.
    pub list: List,
    /// What servers have that do not know `list` yet: tried when that is `Unimplemented`.
    pub old_list: Option<List>,
    /// One of them by name; the answer is the resource, bare or in `wrapped`.
    pub get: Call,
    /// Makes one; refuses an existing name. Absent when only the server makes them: what is
    /// declared and not there is waited for.
    pub create: Option<Call>,
    /// Changes one; absent when the kind has no update.
    pub update: Option<Call>,
    /// Removes one by name. Absent when we never do: what is no longer declared is let go.
    pub delete: Option<Call>,
}

impl Rpc {
    /// The calls that list everything, newest first.
    pub fn lists(&self) -> impl Iterator<Item = &List> {
        std::iter::once(&self.list).chain(&self.old_list)
    }
}

/// One unary call.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// `/proto.AuthService/CreateRole`.
    pub path: &'static str,
    /// Request message, `proto.CreateRoleRequest`.
    pub request: &'static str,
    /// The request's field that takes the resource or the name; absent: the request is the
    /// resource itself.
    pub field: Option<&'static str>,
    /// Answer message, `types.RoleV6` or `google.protobuf.Empty`.
    pub answer: &'static str,
}

/// A list call.
#[derive(Debug, Clone, Copy)]
pub struct List {
    /// `/proto.AuthService/ListRoles`.
    pub path: &'static str,
    /// Request message.
    pub request: &'static str,
    /// Answer message.
    pub answer: &'static str,
    /// The answer's repeated field.
    pub items: &'static str,
    /// Paging; absent: everything at once.
    pub page: Option<Page>,
}

/// Names of the paging fields.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// Request: how many at most.
    pub size: &'static str,
    /// Request: where to go on.
    pub token: &'static str,
    /// Answer: where to go on; empty at the end.
    pub next: &'static str,
    /// The name of a resource that the server leaves out between a page and the next, from the
    /// text in `next`: to be read by itself. Absent for lists without that mistake.
    pub left_out: Option<fn(&str) -> Option<&str>>,
}

impl Page {
    /// As most services name them.
    const BY_TOKEN: Self =
        Self { size: "page_size", token: "page_token", next: "next_page_token", left_out: None };

    /// As the older lists of the Auth Service name them.
    const BY_KEY: Self =
        Self { size: "limit", token: "start_key", next: "next_key", left_out: None };
}

/// Asked of every paged list; the servers' own upper bound.
pub const PAGE_SIZE: i32 = 1000;

/// Label that says which agent owns a resource. Teleport's tools hide the prefix; the server
/// keeps it.
pub const OWNER_LABEL: &str = "teleport.hidden/reconciler-owner";

/// Label that says where a resource came from; set by the server.
pub const ORIGIN_LABEL: &str = "teleport.dev/origin";

/// Origin of users that an identity provider's login made.
const SSO: &str = "sso";

/// Origin of the user and the role behind a bot.
const BOT: &str = "bot";

/// Origin of what Teleport makes again at every start.
const SYSTEM: &str = "system";

/// Origins of resources that somebody else's program keeps: values of [`ORIGIN_LABEL`], and
/// what [`Kind::keeper`] says.
pub const FOREIGN_ORIGINS: &[&str] = &[
    "defaults",
    "config-file",
    "cloud",
    "kubernetes",
    "okta",
    "scim",
    "discovery-kubernetes",
    "entra-id",
    "aws-identity-center",
    "integration_awsrolesanywhere",
    SSO,
    BOT,
    SYSTEM,
];

/// Label on the user and the role behind a bot: the bot's name.
const BOT_LABEL: &str = "teleport.internal/bot";

/// Label that says what kind of internal resource it is; `system` is overwritten at every start.
const RESOURCE_TYPE_LABEL: &str = "teleport.internal/resource-type";

/// Whom Teleport's internal labels name as the keeper of a role or user.
fn internal_keeper(resource: &Value) -> Option<&'static str> {
    let labels = resource.get("metadata").and_then(|metadata| metadata.get("labels"))?;
    let label = |key| labels.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    if label(BOT_LABEL).is_some() {
        return Some(BOT);
    }
    (label(RESOURCE_TYPE_LABEL) == Some(SYSTEM)).then_some(SYSTEM)
}

/// The message without fields, as request of an unpaged list and answer of a delete.
const EMPTY: &str = "google.protobuf.Empty";

/// What the server does to the version of a kind that has only one.
fn set_version(resource: &mut Value, version: &str) {
    if let Value::Map(fields) = resource {
        fields.insert("version".into(), Value::String(version.into()));
    }
}

/// Whether Teleport takes a text as the key of a label: one or more ASCII letters, digits and
/// `/._:*-`.
pub fn label_key_is_valid(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "/._:*-".contains(c))
}
