//! Users, bots and tokens beyond what was recorded call by call. The contents of a bot's user and
//! role, of the presets, and the texts were seen on a running 18.0.0.

use prost::Message as _;
use reconciler::plane::status::code;
use reconciler::plane::{Caller, Settings};
use reconciler::wire::message::teleport::machineid::v1 as machineid;
use reconciler::wire::message::teleport::users::v1 as users;
use reconciler::wire::message::{proto, types};

use super::support::{AUTH, USERS, World, caller, code as code_of, named, user};

const BOTS: &str = "/teleport.machineid.v1.BotService/";

fn bot(name: &str) -> machineid::CreateBotRequest {
    machineid::CreateBotRequest {
        bot: Some(machineid::Bot {
            metadata: Some(reconciler::wire::message::teleport::header::v1::Metadata {
                name: name.to_owned(),
                labels: [("a".to_owned(), "b".to_owned())].into(),
                ..Default::default()
            }),
            spec: Some(machineid::BotSpec {
                roles: vec!["access".to_owned()],
                ..Default::default()
            }),
            ..Default::default()
        }),
    }
}

fn get_role(world: &mut World, name: &str) -> types::RoleV6 {
    let request = proto::GetRoleRequest { name: name.to_owned() };
    world.call(&format!("{AUTH}GetRole"), &request).unwrap()
}

fn get_user(world: &mut World, name: &str) -> types::UserV2 {
    let request = users::GetUserRequest { name: name.to_owned(), ..Default::default() };
    let answer: users::GetUserResponse = world.call(&format!("{USERS}GetUser"), &request).unwrap();
    answer.user.unwrap()
}

#[test]
fn a_bot_is_a_user_and_a_role() {
    let mut world = World::new(Settings::default());
    let made: machineid::Bot = world.call(&format!("{BOTS}CreateBot"), &bot("b one")).unwrap();
    assert_eq!(made.status.unwrap().user_name, "bot-b-one");
    let role = get_role(&mut world, "bot-b-one");
    let metadata = role.metadata.unwrap();
    assert_eq!(metadata.description, "Automatically generated role for bot b one");
    assert_eq!(metadata.labels, [("teleport.internal/bot".to_owned(), "b one".to_owned())].into());
    let spec = role.spec.unwrap();
    let allow = spec.allow.unwrap();
    assert_eq!(spec.options.unwrap().max_session_ttl, 12 * 60 * 60 * 1_000_000_000);
    assert_eq!(allow.impersonate.unwrap().roles, ["access"]);
    assert_eq!(allow.rules[0].resources, ["cert_authority"]);
    assert_eq!(allow.rules[0].verbs, ["readnosecrets"]);
    let user = get_user(&mut world, "bot-b-one");
    let labels = user.metadata.unwrap().labels;
    assert_eq!(labels["teleport.internal/bot"], "b one");
    assert_eq!(labels["teleport.internal/bot-generation"], "0");
    assert_eq!(labels["a"], "b");
    assert_eq!(user.spec.unwrap().roles, ["bot-b-one"]);
    let missing = machineid::DeleteBotRequest { bot_name: "other".to_owned() };
    assert_eq!(code_of(world.call::<()>(&format!("{BOTS}DeleteBot"), &missing)), code::NOT_FOUND);
    let delete = machineid::DeleteBotRequest { bot_name: "b one".to_owned() };
    let _: () = world.call(&format!("{BOTS}DeleteBot"), &delete).unwrap();
    assert_eq!(world.core.items("user", world.now).count(), 0);
    assert!(world.core.items("role", world.now).all(|(name, _)| name != "bot-b-one"));
}

#[test]
fn roles_and_users_hold_on_to_each_other() {
    let mut world = World::new(Settings::default());
    let refused = world.create_user(user("u", &["access", "no-such"])).unwrap_err();
    assert_eq!(refused.code, code::NOT_FOUND);
    assert_eq!(refused.message, "role no-such is not found");
    world.create_role("held").unwrap();
    world.create_user(user("u", &["held"])).unwrap();
    let delete = proto::DeleteRoleRequest { name: "held".to_owned() };
    let path = format!("{AUTH}DeleteRole");
    assert_eq!(code_of(world.call::<()>(&path, &delete)), code::UNKNOWN);
    let gone = users::DeleteUserRequest { name: "u".to_owned() };
    let _: () = world.call(&format!("{USERS}DeleteUser"), &gone).unwrap();
    let _: () = world.call(&path, &delete).unwrap();
    let reserved = world.create_role("Proxy").unwrap_err();
    assert_eq!((reserved.code, reserved.message.as_str()), (3, "reserved role: Proxy"));
}

#[test]
fn callers_may_look_at_themselves() {
    let mut world = World::new(Settings::default());
    world.create_user(user("somebody", &["auditor"])).unwrap();
    world.create_user(user("other", &["auditor"])).unwrap();
    let mut get = |caller: &Caller, request: users::GetUserRequest| {
        world.raw_as(caller, &format!("{USERS}GetUser"), &request.encode_to_vec())
    };
    let who = caller(&["auditor"]);
    let current = users::GetUserRequest { current_user: true, ..Default::default() };
    let answer = get(&who, current).unwrap();
    let answer = users::GetUserResponse::decode(answer.as_slice()).unwrap();
    assert_eq!(answer.user.unwrap().metadata.unwrap().name, "somebody");
    let of = |name: &str, with_secrets| users::GetUserRequest {
        name: name.to_owned(),
        with_secrets,
        ..Default::default()
    };
    get(&who, of("somebody", false)).unwrap();
    assert_eq!(code_of(get(&who, of("other", false))), code::PERMISSION_DENIED);
    assert_eq!(code_of(get(&Caller::admin(), of("other", true))), code::PERMISSION_DENIED);
    let role = proto::GetRoleRequest { name: "auditor".to_owned() }.encode_to_vec();
    world.raw_as(&who, &format!("{AUTH}GetRole"), &role).unwrap();
}

#[test]
fn presets_are_as_on_a_running_server() {
    let mut world = World::new(Settings::default());
    let rows =
        [("access", 4, true, true), ("auditor", 9, false, false), ("editor", 67, true, false)];
    for (name, rules, forwards, desktop) in rows {
        let role = get_role(&mut world, name);
        let spec = role.spec.unwrap();
        let options = spec.options.unwrap();
        let record = options.record_session.unwrap();
        assert_eq!((role.version.as_str(), options.forward_agent), ("v7", forwards), "{name}");
        assert_eq!(options.ssh_port_forwarding.is_some(), forwards, "{name}");
        assert_eq!(record.desktop, Some(types::BoolValue { value: desktop }), "{name}");
        assert_eq!(record.default, "", "{name}: a mode that nobody chose");
        assert_eq!(spec.allow.unwrap().rules.len(), rules, "{name}");
    }
}

/// Method and its part of the specification, and how a running server refused it.
#[test]
fn join_methods_demand_their_part() {
    use types::{
        ProvisionTokenSpecV2 as Spec, ProvisionTokenSpecV2Azure as Azure,
        ProvisionTokenSpecV2Kubernetes as Kubernetes, ProvisionTokenSpecV2gcp as Gcp,
    };
    let kubernetes = |account: &str| {
        let rule =
            types::provision_token_spec_v2_kubernetes::Rule { service_account: account.to_owned() };
        Some(Kubernetes { allow: vec![rule], ..Default::default() })
    };
    let rows = [
        (
            "kubernetes",
            Spec { kubernetes: kubernetes("a"), ..Default::default() },
            "spec.kubernetes:\n\tallow[0].service_account: name of service account should be in \
             format \"namespace:service_account\", got \"a\" instead",
        ),
        ("kubernetes", Spec { kubernetes: kubernetes("a:b"), ..Default::default() }, ""),
        (
            "azure",
            Spec {
                azure: Some(Azure {
                    allow: vec![types::provision_token_spec_v2_azure::Rule::default()],
                }),
                ..Default::default()
            },
            "the \"azure\" join method requires azure allow rules with non-empty subscription",
        ),
        (
            "gcp",
            Spec {
                gcp: Some(Gcp { allow: vec![types::provision_token_spec_v2gcp::Rule::default()] }),
                ..Default::default()
            },
            "the \"gcp\" join method requires gcp allow rules with at least one project ID",
        ),
        ("nonsense", Spec::default(), "unknown join method \"nonsense\""),
    ];
    let mut world = World::new(Settings::default());
    for (method, spec, text) in rows {
        let spec = Spec {
            roles: vec!["bot".to_owned()],
            bot_name: "x".to_owned(),
            join_method: method.to_owned(),
            ..spec
        };
        let token = types::ProvisionTokenV2 {
            metadata: Some(types::Metadata { name: "t".to_owned(), ..Default::default() }),
            spec: Some(spec),
            ..Default::default()
        };
        let token = Some(proto::upsert_token_v2_request::Token::V2(token));
        let request = proto::UpsertTokenV2Request { token };
        let result = world.call::<()>(&format!("{AUTH}UpsertTokenV2"), &request);
        assert_eq!(result.err().map_or(String::new(), |it| it.message), text, "{method}");
    }
    let token: types::ProvisionTokenV2 =
        world.call(&format!("{AUTH}GetToken"), &named("t")).unwrap();
    assert_eq!(token.spec.unwrap().kubernetes.unwrap().r#type, "in_cluster");
}

#[test]
fn a_new_invitation_ends_the_earlier_one() {
    let mut world = World::new(Settings::default());
    world.create_user(user("u", &["access"])).unwrap();
    let request = proto::CreateResetPasswordTokenRequest {
        name: "u".to_owned(),
        r#type: "invite".to_owned(),
        ttl: 0,
    };
    let create = format!("{AUTH}CreateResetPasswordToken");
    let first: types::UserTokenV3 = world.call(&create, &request).unwrap();
    let second: types::UserTokenV3 = world.call(&create, &request).unwrap();
    let mut get = |token: &types::UserTokenV3| {
        let token_id = token.metadata.clone().unwrap().name;
        let request = proto::GetResetPasswordTokenRequest { token_id };
        world.call::<types::UserTokenV3>(&format!("{AUTH}GetResetPasswordToken"), &request)
    };
    assert_eq!(code_of(get(&first)), code::NOT_FOUND);
    assert_eq!(get(&second).unwrap(), second);
}
