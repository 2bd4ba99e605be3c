//! What the official programs call, as counted on a real 18.0.0 and, for `tctl` and the Terraform
//! provider, on the plane too: the same calls in the same order, with the codes that lead the
//! programs on. Identities come from the plane, the calls go over mutual TLS.

use prost::Message;
use reconciler::wire::message::teleport::header::v1::Metadata as Header;
use reconciler::wire::message::teleport::machineid::v1 as machineid;
use reconciler::wire::message::{programs, proto, types};
use tonic::Code;

use super::client::{Port, http, join, kube, raw};
use super::{CREATE as CREATE_KUBE, PING};

/// What a call sends.
enum Body {
    /// An empty message.
    Empty,
    /// A message with nothing but a name, which is the first field of all these.
    Name(&'static str),
    /// This message.
    Is(fn() -> Vec<u8>),
    /// A message with nothing but a resource, in the field of that number.
    In(u8, fn() -> Vec<u8>),
}

use Body::{Empty, In, Is, Name};
use Code::{AlreadyExists, NotFound, Ok, Unimplemented};

/// A method, what is sent, and the code of the answer.
type Step = (&'static str, Body, Code);

const ALERTS: &str = "/proto.AuthService/GetClusterAlerts";
const CHALLENGE: &str = "/proto.AuthService/CreateAuthenticateChallenge";
const UPDATE_KUBE: &str = "/proto.AuthService/UpdateKubernetesCluster";
const DELETE_KUBE: &str = "/proto.AuthService/DeleteKubernetesCluster";
const KUBES: &str = "/proto.AuthService/GetKubernetesClusters";
const GET_ROLE: &str = "/proto.AuthService/GetRole";
const ROLES: &str = "/proto.AuthService/ListRoles";
const CREATE_ROLE: &str = "/proto.AuthService/CreateRole";
const UPSERT_ROLE: &str = "/proto.AuthService/UpsertRoleV2";
const DELETE_ROLE: &str = "/proto.AuthService/DeleteRole";
const GET_USER: &str = "/teleport.users.v1.UsersService/GetUser";
const USERS: &str = "/teleport.users.v1.UsersService/ListUsers";
const CREATE_USER: &str = "/teleport.users.v1.UsersService/CreateUser";
const UPSERT_USER: &str = "/teleport.users.v1.UsersService/UpsertUser";
const DELETE_USER: &str = "/teleport.users.v1.UsersService/DeleteUser";
const RESET: &str = "/proto.AuthService/CreateResetPasswordToken";
const GET_TOKEN: &str = "/proto.AuthService/GetToken";
const TOKENS: &str = "/proto.AuthService/GetTokens";
const CREATE_TOKEN: &str = "/proto.AuthService/CreateTokenV2";
const UPSERT_TOKEN: &str = "/proto.AuthService/UpsertTokenV2";
const DELETE_TOKEN: &str = "/proto.AuthService/DeleteToken";
const GET_BOT: &str = "/teleport.machineid.v1.BotService/GetBot";
const BOTS: &str = "/teleport.machineid.v1.BotService/ListBots";
const CREATE_BOT: &str = "/teleport.machineid.v1.BotService/CreateBot";
const UPDATE_BOT: &str = "/teleport.machineid.v1.BotService/UpdateBot";
const UPSERT_BOT: &str = "/teleport.machineid.v1.BotService/UpsertBot";
const DELETE_BOT: &str = "/teleport.machineid.v1.BotService/DeleteBot";
const GET_TRUSTED: &str = "/proto.AuthService/GetTrustedCluster";
const TRUSTED: &str = "/proto.AuthService/GetTrustedClusters";
const UPSERT_TRUSTED: &str = "/teleport.trust.v1.TrustService/UpsertTrustedCluster";
const DELETE_TRUSTED: &str = "/proto.AuthService/DeleteTrustedCluster";
const GET_REMOTE: &str = "/teleport.presence.v1.PresenceService/GetRemoteCluster";
const REMOTES: &str = "/teleport.presence.v1.PresenceService/ListRemoteClusters";
const DELETE_REMOTE: &str = "/teleport.presence.v1.PresenceService/DeleteRemoteCluster";
const RESOURCES: &str = "/proto.AuthService/ListResources";
const CA: &str = "/proto.AuthService/GetClusterCACert";
const AUTHORITY: &str = "/teleport.trust.v1.TrustService/GetCertAuthority";
const AUTHORITIES: &str = "/teleport.trust.v1.TrustService/GetCertAuthorities";
const PREFERENCE: &str = "/teleport.clusterconfig.v1.ClusterConfigService/GetAuthPreference";
const MAINTENANCE: &str = "/proto.AuthService/GetClusterMaintenanceConfig";
/// Not gRPC: these two are asked over HTTP/1.1.
const AUTH_SERVERS: &str = "GET /v2/authservers";
const PROXIES: &str = "GET /v2/proxies";

/// Commands of `tctl` in an order in which each finds what the ones before left. Each begins with
/// two pings and ends with a look at the alerts, which stand in [`run`].
#[rustfmt::skip]
const TCTL: &[(&str, &[Step])] = &[
    ("create kube_cluster", &[(CHALLENGE, Is(challenge), Ok), (CREATE_KUBE, Is(k1), Ok)]),
    ("create kube_cluster, again", &[(CHALLENGE, Is(challenge), Ok), (CREATE_KUBE, Is(k1), AlreadyExists)]),
    ("create -f kube_cluster", &[(CHALLENGE, Is(challenge), Ok), (CREATE_KUBE, Is(k1), AlreadyExists), (UPDATE_KUBE, Is(k1), Ok)]),
    ("create role", &[(CHALLENGE, Is(challenge), Ok), (GET_ROLE, Name("r1"), NotFound), (UPSERT_ROLE, In(1, r1), Ok)]),
    ("create -f role", &[(CHALLENGE, Is(challenge), Ok), (GET_ROLE, Name("r1"), Ok), (UPSERT_ROLE, In(1, r1), Ok)]),
    ("create user", &[(CHALLENGE, Is(challenge), Ok), (GET_USER, Name("u1"), NotFound), (CREATE_USER, In(1, u1), Ok)]),
    ("create -f user", &[(CHALLENGE, Is(challenge), Ok), (GET_USER, Name("u1"), Ok), (UPSERT_USER, In(2, u1), Ok)]),
    ("create token", &[(CHALLENGE, Is(challenge), Ok), (UPSERT_TOKEN, In(1, t1), Ok)]),
    ("create bot", &[(CHALLENGE, Is(challenge), Ok), (CREATE_BOT, In(1, b1), Ok)]),
    ("create bot, again", &[(CHALLENGE, Is(challenge), Ok), (CREATE_BOT, In(1, b1), AlreadyExists)]),
    ("create -f bot", &[(CHALLENGE, Is(challenge), Ok), (UPSERT_BOT, In(1, b1), Ok)]),
    ("create trusted_cluster", &[(CHALLENGE, Is(challenge), Ok), (GET_TRUSTED, Name("root"), NotFound), (UPSERT_TRUSTED, In(1, root), Ok)]),
    ("create -f trusted_cluster", &[(CHALLENGE, Is(challenge), Ok), (GET_TRUSTED, Name("root"), Ok), (UPSERT_TRUSTED, In(1, root), Ok)]),
    ("get kube_cluster", &[(KUBES, Empty, Ok)]),
    ("get role/r1", &[(GET_ROLE, Name("r1"), Ok)]),
    ("get roles", &[(ROLES, Empty, Ok)]),
    ("get user/u1", &[(GET_USER, Name("u1"), Ok)]),
    ("get users, users ls", &[(USERS, Empty, Ok)]),
    ("get token/t1", &[(GET_TOKEN, Name("t1"), Ok)]),
    ("get tokens, tokens ls", &[(TOKENS, Empty, Ok)]),
    ("get bot/b1", &[(GET_BOT, Name("b1"), Ok)]),
    ("get bots, bots ls", &[(BOTS, Empty, Ok)]),
    ("get tc", &[(TRUSTED, Empty, Ok)]),
    ("get tc/root", &[(GET_TRUSTED, Name("root"), Ok)]),
    ("get rc", &[(REMOTES, Empty, Ok)]),
    ("get rc/leaf", &[(GET_REMOTE, Name("leaf"), Ok)]),
    ("get rc/none", &[(GET_REMOTE, Name("none"), NotFound)]),
    ("get kube_server, kube ls", &[(RESOURCES, Is(kube_servers), Ok)]),
    ("users add u2 --roles=access,editor", &[
        (GET_ROLE, Name("access"), Ok), (GET_ROLE, Name("editor"), Ok), (CHALLENGE, Is(challenge), Ok),
        (CREATE_USER, In(1, u2), Ok), (RESET, Is(invitation), Ok),
    ]),
    ("users add u2 --roles=none", &[(GET_ROLE, Name("none"), NotFound)]),
    ("users rm u2", &[(DELETE_USER, Name("u2"), Ok)]),
    ("tokens add --type=node", &[(CREATE_TOKEN, In(1, secret), Ok), (CA, Empty, Ok), (AUTH_SERVERS, Empty, Ok), (PING, Empty, Ok)]),
    ("tokens add --type=kube, again", &[(CREATE_TOKEN, In(1, secret), AlreadyExists)]),
    ("tokens add --type=kube", &[(CREATE_TOKEN, In(1, t2), Ok), (CA, Empty, Ok), (AUTH_SERVERS, Empty, Ok), (PROXIES, Empty, Ok)]),
    ("tokens rm", &[(DELETE_TOKEN, Name(SECRET), Ok)]),
    ("tokens rm, again", &[(DELETE_TOKEN, Name(SECRET), NotFound)]),
    ("bots add b2 --roles=access", &[(CHALLENGE, Is(challenge), Ok), (UPSERT_TOKEN, In(1, t2), Ok), (CREATE_BOT, In(1, b2), Ok), (PROXIES, Empty, Ok)]),
    ("bots update b1 --add-roles=editor", &[(GET_BOT, Name("b1"), Ok), (GET_ROLE, Name("access"), Ok), (GET_ROLE, Name("editor"), Ok), (UPDATE_BOT, Is(more_roles), Ok)]),
    ("bots rm b2", &[(DELETE_BOT, Name("b2"), Ok)]),
    ("rm kube_cluster/k1", &[(KUBES, Empty, Ok), (DELETE_KUBE, Name("k1"), Ok)]),
    ("rm role/r1", &[(DELETE_ROLE, Name("r1"), Ok)]),
    ("rm role/r1, again", &[(DELETE_ROLE, Name("r1"), NotFound)]),
    ("rm user/u1", &[(DELETE_USER, Name("u1"), Ok)]),
    ("rm user/u1, again", &[(DELETE_USER, Name("u1"), NotFound)]),
    ("rm token/t1", &[(DELETE_TOKEN, Name("t1"), Ok)]),
    ("rm bot/b1", &[(DELETE_BOT, Name("b1"), Ok)]),
    ("rm bot/b1, again", &[(DELETE_BOT, Name("b1"), NotFound)]),
    ("rm tc/root", &[(DELETE_TRUSTED, Name("root"), Ok)]),
    ("rm rc/leaf", &[(DELETE_REMOTE, Name("leaf"), Ok)]),
    ("rm rc/leaf, again", &[(DELETE_REMOTE, Name("leaf"), NotFound)]),
    ("status", &[
        (PING, Empty, Ok),
        (AUTHORITIES, Name("host"), Ok), (AUTHORITIES, Name("user"), Ok), (AUTHORITIES, Name("db"), Ok),
        (AUTHORITIES, Name("db_client"), Ok), (AUTHORITIES, Name("openssh"), Ok), (AUTHORITIES, Name("jwt"), Ok),
        (AUTHORITIES, Name("saml_idp"), Ok), (AUTHORITIES, Name("oidc_idp"), Ok), (AUTHORITIES, Name("spiffe"), Ok),
        (AUTHORITIES, Name("okta"), Ok), (AUTHORITIES, Name("awsra"), Ok), (AUTHORITIES, Name("bound_keypair"), Ok),
        (MAINTENANCE, Empty, NotFound),
    ]),
];

/// Steps of the Terraform provider for one role, of `tsh` with an identity, and of `tbot`. The
/// plane takes nobody in and certifies no keys of others, so what `tbot` joins by is refused.
#[rustfmt::skip]
const OTHERS: &[(&str, &[Step])] = &[
    ("terraform apply", &[(PING, Empty, Ok), (GET_ROLE, Name("tf"), NotFound), (CREATE_ROLE, In(1, tf), Ok), (GET_ROLE, Name("tf"), Ok)]),
    ("terraform plan", &[(PING, Empty, Ok), (GET_ROLE, Name("tf"), Ok)]),
    ("terraform apply, changed", &[
        (PING, Empty, Ok), (GET_ROLE, Name("tf"), Ok), (GET_ROLE, Name("tf"), Ok), (UPSERT_ROLE, In(1, tf), Ok), (GET_ROLE, Name("tf"), Ok),
    ]),
    ("terraform destroy", &[(PING, Empty, Ok), (GET_ROLE, Name("tf"), Ok), (DELETE_ROLE, Name("tf"), Ok), (GET_ROLE, Name("tf"), NotFound)]),
    ("tsh kube ls", &[(PING, Empty, Ok), (PING, Empty, Ok), (PREFERENCE, Empty, Ok), (RESOURCES, Is(kube_servers), Ok)]),
    ("tsh clusters", &[(PING, Empty, Ok), (PING, Empty, Ok), (PREFERENCE, Empty, Ok), (REMOTES, Empty, Ok)]),
    ("tbot start", &[
        ("/proto.JoinService/RegisterUsingToken", Empty, Unimplemented), (CA, Empty, Ok), (PING, Empty, Ok), (GET_ROLE, Name("access"), Ok),
        ("/proto.AuthService/GenerateUserCerts", Empty, Unimplemented),
        (AUTHORITIES, Name("host"), Ok), (AUTHORITIES, Name("user"), Ok), (AUTHORITIES, Name("db"), Ok), (AUTHORITY, Is(host_authority), Ok),
        (PREFERENCE, Empty, Ok), (REMOTES, Empty, Ok),
        ("/teleport.machineid.v1.BotInstanceService/SubmitHeartbeat", Empty, Unimplemented),
    ]),
];

/// A token that lets in whoever knows its name.
const SECRET: &str = "0f61c1ba1b27a7a1d9bba6a94a0d1ee8";

fn metadata(name: &str) -> types::Metadata {
    types::Metadata { name: name.to_owned(), ..Default::default() }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn k1() -> Vec<u8> {
    kube("k1").encode_to_vec()
}

fn r1() -> Vec<u8> {
    role("r1")
}

fn tf() -> Vec<u8> {
    role("tf")
}

fn role(name: &str) -> Vec<u8> {
    let version = "v7".to_owned();
    types::RoleV6 { version, metadata: Some(metadata(name)), ..Default::default() }.encode_to_vec()
}

fn u1() -> Vec<u8> {
    user("u1", &["access"])
}

fn u2() -> Vec<u8> {
    user("u2", &["access", "editor"])
}

fn user(name: &str, roles: &[&str]) -> Vec<u8> {
    let spec = Some(types::UserSpecV2 { roles: words(roles), ..Default::default() });
    types::UserV2 { metadata: Some(metadata(name)), spec, ..Default::default() }.encode_to_vec()
}

fn invitation() -> Vec<u8> {
    const HOUR: i64 = 3_600_000_000_000;
    let (name, r#type) = ("u2".to_owned(), "invite".to_owned());
    proto::CreateResetPasswordTokenRequest { name, r#type, ttl: HOUR }.encode_to_vec()
}

fn t1() -> Vec<u8> {
    token("t1")
}

fn t2() -> Vec<u8> {
    token("t2")
}

fn secret() -> Vec<u8> {
    token(SECRET)
}

fn token(name: &str) -> Vec<u8> {
    let spec = types::ProvisionTokenSpecV2 { roles: words(&["Node"]), ..Default::default() };
    let version = "v2".to_owned();
    types::ProvisionTokenV2 {
        version,
        metadata: Some(metadata(name)),
        spec: Some(spec),
        ..Default::default()
    }
    .encode_to_vec()
}

fn b1() -> Vec<u8> {
    bot("b1", &["access"]).encode_to_vec()
}

fn b2() -> Vec<u8> {
    bot("b2", &["access"]).encode_to_vec()
}

fn bot(name: &str, roles: &[&str]) -> machineid::Bot {
    let metadata = Header { name: name.to_owned(), ..Default::default() };
    machineid::Bot {
        kind: "bot".to_owned(),
        version: "v1".to_owned(),
        metadata: Some(metadata),
        spec: Some(machineid::BotSpec { roles: words(roles), ..Default::default() }),
        ..Default::default()
    }
}

fn more_roles() -> Vec<u8> {
    let update_mask = Some(prost_types::FieldMask { paths: words(&["spec.roles"]) });
    let bot = Some(bot("b1", &["access", "editor"]));
    machineid::UpdateBotRequest { bot, update_mask }.encode_to_vec()
}

fn root() -> Vec<u8> {
    let local = types::RoleMapping { remote: "access".to_owned(), local: words(&["access"]) };
    let spec = types::TrustedClusterSpecV2 {
        enabled: true,
        token: "abc".to_owned(),
        proxy_address: "root.example.com:443".to_owned(),
        reverse_tunnel_address: "root.example.com:443".to_owned(),
        role_map: vec![local],
        ..Default::default()
    };
    let metadata = Some(metadata("root"));
    types::TrustedClusterV2 { metadata, spec: Some(spec), ..Default::default() }.encode_to_vec()
}

fn challenge() -> Vec<u8> {
    let admin_action = Some(programs::AdminAction {});
    let extensions =
        programs::ChallengeExtensions { scope: 6, allow_reuse: 1, ..Default::default() };
    programs::CreateAuthenticateChallengeRequest {
        context_user: Some(programs::ContextUser {}),
        mfa_required_check: Some(programs::IsMfaRequiredRequest { admin_action }),
        challenge_extensions: Some(extensions),
        ..Default::default()
    }
    .encode_to_vec()
}

fn kube_servers() -> Vec<u8> {
    let resource_type = "kube_server".to_owned();
    proto::ListResourcesRequest { resource_type, limit: 1000, ..Default::default() }.encode_to_vec()
}

fn host_authority() -> Vec<u8> {
    let (r#type, domain) = ("host".to_owned(), "embedded.local".to_owned());
    programs::GetCertAuthorityRequest { r#type, domain, include_key: false }.encode_to_vec()
}

impl Body {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Empty => Vec::new(),
            Name(name) => types::ResourceRequest { name: (*name).to_owned() }.encode_to_vec(),
            Is(message) => message(),
            In(number, resource) => {
                let resource = resource();
                let mut bytes = vec![number << 3 | 2];
                prost::encode_length_delimiter(resource.len(), &mut bytes).unwrap();
                bytes.extend(resource);
                bytes
            }
        }
    }
}

#[tokio::test]
async fn the_calls_of_the_official_programs_are_answered() {
    let port = Port::open().await;
    join(&port, "leaf");
    let bearer = port.bearer("admin", &["everything", "editor"]);
    let channel = port.channel(&bearer).await.unwrap();
    let run = async |line: &str, step: &Step| {
        let (method, body, code) = step;
        let got = if method.starts_with("GET ") {
            if http(&port, &bearer, method).await.0 == 200 { Ok } else { Code::Unknown }
        } else {
            raw(&channel, method, body.bytes()).await.map_or_else(|status| status.code(), |_| Ok)
        };
        assert_eq!(got, *code, "{line}: {method}");
    };
    for (line, steps) in TCTL {
        let line = format!("tctl {line}");
        for step in [(PING, Empty, Ok), (PING, Empty, Ok)].iter().chain(*steps) {
            run(&line, step).await;
        }
        run(&line, &(ALERTS, Empty, Ok)).await;
    }
    for (line, steps) in OTHERS {
        for step in *steps {
            run(line, step).await;
        }
    }
    port.close().await;
}
