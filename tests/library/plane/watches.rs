//! Recorded watches. They were written down as JSON with Go's names, not as bytes.

use prost::Message as _;
use prost_reflect::{DynamicMessage, ReflectMessage as _, Value};
use reconciler::plane::core::WATCH_EVENTS;
use reconciler::plane::{Caller, Settings, WatchId};
use reconciler::wire::DESCRIPTORS;
use reconciler::wire::message::{proto, types};
use serde_json::Value as Json;

use super::recorded::Step;
use super::support::{AUTH, World, allowing, caller, code, code_named, named};

/// Plays a case: the watch, what was written meanwhile, and its events.
pub fn play(case: &[Step]) {
    let mut world = World::new(Settings::default());
    let (opening, events) = case.split_first().unwrap();
    let at = &opening.case;
    assert_eq!(opening.method, WATCH_EVENTS);
    let kinds = opening.request["kinds"].as_array().cloned().unwrap_or_default();
    let names: Vec<&str> = kinds.iter().map(|kind| kind["kind"].as_str().unwrap()).collect();
    let request = watch(&names, false);
    let id = match world.core.subscribe(world.now, &Caller::admin(), &request) {
        Ok(id) => id,
        Err(status) => {
            assert_eq!(status.code, code_named(&opening.code), "{at}");
            assert_eq!(status.message, opening.message, "{at}");
            return;
        }
    };
    assert_eq!(opening.code, "OK", "{at}");
    for event in events {
        cause(&mut world, &event.answer);
    }
    let got = taken(&mut world, id);
    assert_eq!(got.len(), case.len(), "{at}");
    for (step, event) in case.iter().zip(&got) {
        let mut expected = step.answer.clone();
        let kind = expected.as_object_mut().unwrap().remove("Type");
        let kind = kind.map_or("INIT".to_owned(), |it| it.as_str().unwrap().to_owned());
        let operation = event.get_field_by_name("type").unwrap().as_enum_number().unwrap();
        let operation = proto::Operation::try_from(operation).unwrap();
        assert_eq!(operation.as_str_name(), format!("OPERATION_{kind}"), "{at}");
        agree(at, &expected, &Value::Message(event.clone()));
    }
}

fn watch(kinds: &[&str], allow_partial_success: bool) -> Vec<u8> {
    let kind = |kind: &&str| types::WatchKind { kind: (*kind).to_owned(), ..Default::default() };
    let kinds = kinds.iter().map(kind).collect();
    proto::Watch { kinds, allow_partial_success }.encode_to_vec()
}

/// The events of a watch so far.
fn taken(world: &mut World, id: WatchId) -> Vec<DynamicMessage> {
    let poll = world.core.poll_watch(world.now, id);
    assert_eq!(poll.ended, None);
    let kind = DESCRIPTORS.get_message_by_name("proto.Event").unwrap();
    let read = |bytes: &Vec<u8>| DynamicMessage::decode(kind.clone(), bytes.as_slice()).unwrap();
    poll.events.iter().map(read).collect()
}

/// Does what made the recorded event.
fn cause(world: &mut World, event: &Json) {
    if let Some(name) = event["Role"]["Metadata"]["Name"].as_str() {
        world.create_role(name).unwrap();
    } else if let Some(name) = event["ProvisionToken"]["Metadata"]["Name"].as_str() {
        let token = types::ProvisionTokenV2 {
            metadata: Some(types::Metadata { name: name.to_owned(), ..Default::default() }),
            spec: Some(types::ProvisionTokenSpecV2 {
                roles: vec!["Node".to_owned()],
                ..Default::default()
            }),
            ..Default::default()
        };
        let token = Some(proto::create_token_v2_request::Token::V2(token));
        let request = proto::CreateTokenV2Request { token };
        let _: () = world.call(&format!("{AUTH}CreateTokenV2"), &request).unwrap();
    } else {
        let header = &event["ResourceHeader"];
        let name = header["Metadata"]["Name"].as_str().unwrap();
        let method = if header["Kind"] == "role" { "DeleteRole" } else { "DeleteToken" };
        let _: () = world.call(&format!("{AUTH}{method}"), &named(name)).unwrap();
    }
}

/// Whether our message says what the JSON says. Fields are found by their letters; a recorded
/// `{}` is any message, for Go hides what is in some of them.
fn agree(at: &str, theirs: &Json, ours: &Value) {
    match (theirs, ours) {
        (Json::Object(fields), Value::Message(message)) => {
            for (name, inner) in fields {
                let letters = |name: &str| name.replace('_', "").to_lowercase();
                let field =
                    message.descriptor().fields().find(|it| letters(it.name()) == letters(name));
                let field = field.unwrap_or_else(|| panic!("{at}: no field {name}"));
                assert!(message.has_field(&field), "{at}: {name} is not set");
                agree(&format!("{at} {name}"), inner, &message.get_field(&field));
            }
            for (field, _) in message.fields().filter(|_| !fields.is_empty()) {
                let always = ["type", "spec", "status"].contains(&field.name())
                    || matches!(field.kind(), prost_reflect::Kind::Message(_));
                let letters = field.name().replace('_', "");
                let told = fields.keys().any(|name| name.to_lowercase() == letters);
                assert!(told || always, "{at}: {} is not in the recording", field.name());
            }
        }
        (Json::Array(theirs), Value::List(ours)) => {
            assert_eq!(theirs.len(), ours.len(), "{at}");
            for (theirs, ours) in theirs.iter().zip(ours) {
                agree(at, theirs, ours);
            }
        }
        (Json::String(text), Value::String(ours)) if text.starts_with("<id-") => {
            assert_eq!(ours.len(), 36, "{at}");
        }
        (Json::String(text), Value::String(ours)) => assert_eq!(text, ours, "{at}"),
        (Json::String(text), Value::I64(ours)) => assert_eq!(*text, ours.to_string(), "{at}"),
        (Json::Bool(theirs), Value::Bool(ours)) => assert_eq!(theirs, ours, "{at}"),
        (theirs, ours) => panic!("{at}: {theirs} and {ours}"),
    }
}

/// Who may not read a kind may not watch it; partial success leaves it out.
#[test]
fn watches_need_the_right_to_read() {
    let mut world = World::new(Settings::default());
    world.put_role(allowing("tokens", &["token"], &["read"])).unwrap();
    let caller = caller(&["tokens"]);
    let mut open =
        |kinds: &[&str], partial| world.core.subscribe(world.now, &caller, &watch(kinds, partial));
    open(&["token", "kube_cluster", "cert_authority"], false).unwrap();
    let refused = open(&["token", "role"], false).unwrap_err();
    assert_eq!(refused.message, "access denied to perform action \"read\" on \"role\"");
    let none = open(&["role", "user"], true).unwrap_err();
    assert_eq!(none.message, "none of the requested kinds can be watched");
    assert_eq!(code(open(&vec!["token"; 300], false)), code_named("InvalidArgument"));
    let id = open(&["token", "role"], true).unwrap();
    let init = taken(&mut world, id);
    assert!(init[0].to_string().contains("token") && !init[0].to_string().contains("role"));
}
