//! Users, tokens, bots and remote clusters as time goes by: lag, expiry, a crash.

use std::time::Duration;

use prost::Message;
use reconciler::model::Timestamp;
use reconciler::plane::status::code;
use reconciler::plane::{Caller, Settings, Status};
use reconciler::wire::message::teleport::header::v1 as header;
use reconciler::wire::message::teleport::machineid::v1 as machineid;
use reconciler::wire::message::teleport::presence::v1 as presence;
use reconciler::wire::message::{proto, types};

use super::support::{AUTH, USERS, World, code as code_of, named, user};

const BOTS: &str = "/teleport.machineid.v1.BotService/";
const PRESENCE: &str = "/teleport.presence.v1.PresenceService/";

const SECOND: Duration = Duration::from_secs(1);

/// What all of them are called; requests by name have it in their first field.
const NAME: &str = "one";

/// A kind of which there is one, called [`NAME`].
struct Row {
    make: fn(&mut World, Option<Timestamp>) -> Result<(), Status>,
    service: &'static str,
    get: &'static str,
    list: &'static str,
    delete: &'static str,
    /// Whether reads are behind. Remote clusters are read where they are written.
    lags: bool,
    /// What a watch is asked for and tells; a bot is told as its user.
    watched: (&'static str, &'static str),
}

const ROWS: &[Row] = &[
    Row {
        make: make_user,
        service: USERS,
        get: "GetUser",
        list: "ListUsers",
        delete: "DeleteUser",
        lags: true,
        watched: ("user", "one"),
    },
    Row {
        make: make_token,
        service: AUTH,
        get: "GetToken",
        list: "GetTokens",
        delete: "DeleteToken",
        lags: true,
        watched: ("token", "one"),
    },
    Row {
        make: make_bot,
        service: BOTS,
        get: "GetBot",
        list: "ListBots",
        delete: "DeleteBot",
        lags: true,
        watched: ("user", "bot-one"),
    },
    Row {
        make: join,
        service: PRESENCE,
        get: "GetRemoteCluster",
        list: "ListRemoteClusters",
        delete: "DeleteRemoteCluster",
        lags: false,
        watched: ("remote_cluster", "one"),
    },
];

impl Row {
    fn get(&self, world: &mut World) -> Result<Vec<u8>, Status> {
        world.raw(&format!("{}{}", self.service, self.get), &named(NAME).encode_to_vec())
    }

    fn delete(&self, world: &mut World) -> Result<Vec<u8>, Status> {
        world.raw(&format!("{}{}", self.service, self.delete), &named(NAME).encode_to_vec())
    }

    fn listed(&self, world: &mut World) -> bool {
        let page = world.raw(&format!("{}{}", self.service, self.list), b"").unwrap();
        page.windows(NAME.len()).any(|part| part == NAME.as_bytes())
    }

    fn assert_seen(&self, world: &mut World, seen: bool, when: &str) {
        let got = self.get(world);
        assert_eq!(got.is_ok(), seen, "{} {when}: {got:?}", self.get);
        if let Err(status) = got {
            assert_eq!(status.code, code::NOT_FOUND, "{} {when}", self.get);
        }
        assert_eq!(self.listed(world), seen, "{} {when}", self.list);
    }
}

fn at(time: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: time.0 / 1000, nanos: 0 }
}

fn metadata(expires: Option<Timestamp>) -> types::Metadata {
    let expires = expires.map(at);
    types::Metadata { name: NAME.to_owned(), expires, ..Default::default() }
}

fn make_user(world: &mut World, expires: Option<Timestamp>) -> Result<(), Status> {
    let made = types::UserV2 { metadata: Some(metadata(expires)), ..user(NAME, &["access"]) };
    world.create_user(made).map(drop)
}

fn make_token(world: &mut World, expires: Option<Timestamp>) -> Result<(), Status> {
    let spec = types::ProvisionTokenSpecV2 { roles: vec!["Node".to_owned()], ..Default::default() };
    let token = types::ProvisionTokenV2 {
        version: "v2".to_owned(),
        metadata: Some(metadata(expires)),
        spec: Some(spec),
        ..Default::default()
    };
    let token = Some(proto::create_token_v2_request::Token::V2(token));
    world.call(&format!("{AUTH}CreateTokenV2"), &proto::CreateTokenV2Request { token })
}

fn make_bot(world: &mut World, expires: Option<Timestamp>) -> Result<(), Status> {
    let expires = expires.map(at);
    let metadata = header::Metadata { name: NAME.to_owned(), expires, ..Default::default() };
    let spec = machineid::BotSpec { roles: vec!["access".to_owned()], ..Default::default() };
    let bot = machineid::Bot { metadata: Some(metadata), spec: Some(spec), ..Default::default() };
    let request = machineid::CreateBotRequest { bot: Some(bot) };
    world.call::<machineid::Bot>(&format!("{BOTS}CreateBot"), &request).map(drop)
}

/// There is no call that makes a remote cluster; one that expires is updated to.
fn join(world: &mut World, expires: Option<Timestamp>) -> Result<(), Status> {
    let changes = world.core.join(world.now, NAME);
    world.changes.extend(changes);
    if expires.is_none() {
        return Ok(());
    }
    let remote_cluster =
        Some(types::RemoteClusterV3 { metadata: Some(metadata(expires)), ..Default::default() });
    let update_mask = Some(prost_types::FieldMask { paths: vec!["Metadata.Expires".to_owned()] });
    let request = presence::UpdateRemoteClusterRequest { remote_cluster, update_mask };
    let path = format!("{PRESENCE}UpdateRemoteCluster");
    world.call::<types::RemoteClusterV3>(&path, &request).map(drop)
}

#[test]
fn reads_are_behind_and_writes_are_not() {
    for row in ROWS {
        let mut world = World::new(Settings { lag: SECOND, ..Default::default() });
        (row.make)(&mut world, None).unwrap();
        row.assert_seen(&mut world, !row.lags, "at once");
        if row.lags {
            assert_eq!(code_of((row.make)(&mut world, None)), code::ALREADY_EXISTS, "{}", row.get);
        }
        world.wait(SECOND);
        row.assert_seen(&mut world, true, "after the lag");
        row.delete(&mut world).unwrap();
        row.assert_seen(&mut world, row.lags, "just deleted");
        assert_eq!(code_of(row.delete(&mut world)), code::NOT_FOUND, "{}", row.delete);
        world.wait(SECOND);
        row.assert_seen(&mut world, false, "deleted");
    }
}

/// What a watch on that kind tells: operation and name.
fn told(world: &mut World, kind: &str, then: impl FnOnce(&mut World)) -> Vec<(i32, String)> {
    use proto::event::Resource;
    let kinds = vec![types::WatchKind { kind: kind.to_owned(), ..Default::default() }];
    let request = proto::Watch { kinds, ..Default::default() };
    let body = request.encode_to_vec();
    let id = world.core.subscribe(world.now, &Caller::admin(), &body).unwrap();
    then(world);
    let told = |bytes: &Vec<u8>| {
        let event = proto::Event::decode(bytes.as_slice()).unwrap();
        let metadata = match event.resource? {
            Resource::ResourceHeader(it) => it.metadata,
            Resource::User(it) => it.metadata,
            Resource::ProvisionToken(it) => it.metadata,
            Resource::RemoteCluster(it) => it.metadata,
            Resource::WatchStatus(_) => return None,
            other => panic!("{other:?}"),
        };
        Some((event.r#type, metadata.unwrap().name))
    };
    world.core.poll_watch(world.now, id).events.iter().filter_map(told).collect()
}

#[test]
fn they_expire_and_watches_hear_of_it() {
    for row in ROWS {
        let mut world = World::new(Settings::default());
        let expires = world.now.wall.plus(SECOND);
        let (kind, name) = row.watched;
        let heard = told(&mut world, kind, |world| {
            (row.make)(world, Some(expires)).unwrap();
            row.assert_seen(world, true, "before its end");
            world.wait(Duration::from_millis(999));
            row.assert_seen(world, true, "just before its end");
            world.wait(world.core.next_wakeup(world.now).expect("something ends"));
            let forgotten = world.core.tick(world.now);
            assert!(!forgotten.is_empty(), "{}: the disk must forget it too", row.get);
            assert!(forgotten.iter().all(|change| change.after.is_none()), "{forgotten:?}");
            world.changes.extend(forgotten);
            row.assert_seen(world, false, "after its end");
        });
        let delete = (i32::from(proto::Operation::Delete), name.to_owned());
        assert_eq!(heard.last(), Some(&delete), "{heard:?}");
        assert_eq!(heard.iter().filter(|told| **told == delete).count(), 1, "{heard:?}");
        // Nothing stays of it, on disk neither: a bot has a role that goes with it.
        let left: Vec<_> = world.stored().into_keys().filter(|key| key.name == name).collect();
        assert_eq!(left, [], "{}", row.get);
        (row.make)(&mut world, None).unwrap();
    }
}

#[test]
fn they_survive_a_crash_with_revision_and_end() {
    for row in ROWS {
        let mut world = World::new(Settings { lag: SECOND, ..Default::default() });
        let expires = world.now.wall.plus(2 * SECOND);
        (row.make)(&mut world, Some(expires)).unwrap();
        world.crash();
        // What is on disk is seen at once after it is opened.
        row.assert_seen(&mut world, true, "after a crash");
        let kept = row.get(&mut world).unwrap();
        world.wait(SECOND);
        world.crash();
        assert_eq!(row.get(&mut world).unwrap(), kept, "{}", row.get);
        world.wait(SECOND);
        let _ended = world.core.tick(world.now);
        world.wait(SECOND);
        row.assert_seen(&mut world, false, "after its end");
    }
}

/// Recorded on two clusters: without a mask the revision counts, with one it does not.
#[test]
fn remote_clusters_compare_revisions_unless_a_mask_is_sent() {
    let mut world = World::new(Settings::default());
    join(&mut world, None).unwrap();
    let path = format!("{PRESENCE}UpdateRemoteCluster");
    let mut update = |revision: &str, paths: Option<&[&str]>| {
        let mut sent = metadata(None);
        sent.labels = [("env".to_owned(), "prod".to_owned())].into();
        sent.revision = revision.to_owned();
        let paths = paths.map(|paths| paths.iter().map(|&path| path.to_owned()).collect());
        let request = presence::UpdateRemoteClusterRequest {
            remote_cluster: Some(types::RemoteClusterV3 {
                metadata: Some(sent),
                ..Default::default()
            }),
            update_mask: paths.map(|paths| prost_types::FieldMask { paths }),
        };
        let answer = world.call::<types::RemoteClusterV3>(&path, &request);
        answer.map(|cluster| cluster.metadata.unwrap().revision)
    };
    let first = update("stale", Some(&["Metadata.Labels"])).unwrap();
    for (revision, mask) in [("stale", None), ("stale", Some(&[][..])), ("", None)] {
        let refused = update(revision, mask).unwrap_err();
        let text = "failed to update remote cluster within 3 iterations";
        assert_eq!((refused.code, refused.message.as_str()), (code::FAILED_PRECONDITION, text));
    }
    let second = update(&first, None).unwrap();
    assert_ne!(first, second);
    assert_eq!(code_of(update(&first, None)), code::FAILED_PRECONDITION);
}
