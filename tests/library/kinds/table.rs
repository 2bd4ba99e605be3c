//! The table agrees with itself and with the descriptors.

use std::collections::BTreeSet;

use prost_reflect::MessageDescriptor;
use reconciler::kind::schema::{self, Form, Schema};
use reconciler::kind::{self, Follow, KINDS, Kind, codes};
use reconciler::model::Value;
use reconciler::wire::DESCRIPTORS;

fn message(name: &str) -> MessageDescriptor {
    DESCRIPTORS.get_message_by_name(name).unwrap_or_else(|| panic!("no message {name}"))
}

#[test]
fn names_and_words_are_one_each() {
    let mut words = BTreeSet::new();
    for kind in KINDS {
        assert_eq!(kind.words.first(), Some(&kind.name.as_str()));
        for word in kind.words {
            assert!(words.insert(*word), "{word} twice");
            assert_eq!(
                kind::find_word(&word.to_uppercase()).map(|kind| kind.name),
                Some(kind.name)
            );
        }
        assert_eq!(kind::find(kind.name.as_str()).map(|kind| kind.name), Some(kind.name));
        assert_eq!(kind::row(kind.name).map(|kind| kind.name), Some(kind.name));
        assert!(!kind.versions.is_empty());
    }
    assert!(kind::find("Role").is_none(), "names in files are case-sensitive");
    assert!(kind::find("roles").is_none(), "and singular");
}

#[test]
fn calls_name_fields_that_exist() {
    for kind in KINDS {
        let Kind { rpc, .. } = kind;
        let calls = [Some(&rpc.get), rpc.create.as_ref(), rpc.update.as_ref(), rpc.delete.as_ref()];
        for call in calls.into_iter().flatten() {
            assert!(call.path.starts_with('/'), "{}", call.path);
            let request = message(call.request);
            match call.field {
                Some(field) => assert!(request.get_field_by_name(field).is_some(), "{call:?}"),
                None => assert_eq!(call.request, kind.message, "{call:?}"),
            }
            let holds = |name: &str| {
                message(name).fields().any(|field| {
                    field.kind().as_message().is_some_and(|it| it.full_name() == kind.message)
                })
            };
            let is_resource = call.answer == kind.message;
            let is_empty = call.answer == "google.protobuf.Empty";
            assert!(is_resource || is_empty || holds(call.answer), "{call:?}");
        }
        for list in rpc.lists() {
            let items = message(list.answer).get_field_by_name(list.items).unwrap();
            assert_eq!(items.kind().as_message().unwrap().full_name(), kind.message);
            let Some(page) = list.page else { continue };
            let request = message(list.request);
            assert!(request.get_field_by_name(page.size).is_some(), "{}", kind.name);
            assert!(request.get_field_by_name(page.token).is_some(), "{}", kind.name);
            assert!(message(list.answer).get_field_by_name(page.next).is_some());
        }
        if let Follow::Watch(member) = kind.follow {
            let member = message("proto.Event").get_field_by_name(member).unwrap();
            assert_eq!(member.kind().as_message().unwrap().full_name(), kind.message);
        }
    }
}

#[test]
fn immutable_paths_are_fields() {
    for kind in KINDS {
        for path in kind.immutable {
            let mut schema = schema::of(kind);
            for part in path.split('.') {
                let field = schema.fields.get(part).unwrap_or_else(|| panic!("{path}"));
                if let Form::Message(inner) = &field.form {
                    schema = inner;
                }
            }
        }
    }
}

/// Every field of our messages has a form that the reader and the writer know; what they don't
/// know (fixed-width and zigzag numbers, packed lists, maps by number) does not occur.
#[test]
fn forms_cover_every_field() {
    fn walk(descriptor: &MessageDescriptor, schema: &Schema) {
        use prost_reflect::Kind as Wire;
        for field in descriptor.fields() {
            let kind = if field.is_map() {
                let entry = field.kind().as_message().unwrap().clone();
                assert_eq!(
                    entry.map_entry_key_field().kind(),
                    Wire::String,
                    "{}",
                    field.full_name()
                );
                entry.map_entry_value_field().kind()
            } else {
                field.kind()
            };
            assert!(
                matches!(
                    kind,
                    Wire::String
                        | Wire::Bool
                        | Wire::Bytes
                        | Wire::Int32
                        | Wire::Int64
                        | Wire::Uint32
                        | Wire::Enum(_)
                        | Wire::Message(_)
                ),
                "{}",
                field.full_name()
            );
            if field.is_list() {
                assert!(!field.is_packed(), "{} is packed", field.full_name());
            }
            let Some((_, ours)) = schema.numbered(field.number()) else { continue };
            assert_eq!(ours.number, field.number());
            let inner = match &ours.form {
                Form::Message(inner) => Some(inner),
                Form::List(form) | Form::Map(form) => match &**form {
                    Form::Message(inner) => Some(inner),
                    _ => None,
                },
                _ => None,
            };
            if let (Some(inner), Wire::Message(message)) = (inner, &kind) {
                walk(message, inner);
            }
        }
    }
    for kind in KINDS {
        assert_eq!(schema::of(kind).message, kind.message);
        walk(&message(kind.message), schema::of(kind));
    }
}

#[test]
fn forms_of_known_fields() {
    let role = schema::of(kind::find("role").unwrap());
    let form = |path: &str| {
        let mut schema = role;
        let mut form = None;
        for part in path.split('.') {
            let field = &schema.fields[part];
            if let Form::Message(inner) = &field.form {
                schema = inner;
            }
            form = Some(field);
        }
        form.unwrap()
    };
    assert_eq!(form("spec.options.max_session_ttl").form, Form::Duration);
    assert_eq!(form("spec.options.mfa_verification_interval").form, Form::DurationMessage);
    assert_eq!(form("spec.options.port_forwarding").form, Form::BoolOption);
    assert_eq!(form("spec.options.forward_agent").form, Form::BoolWord);
    assert_eq!(form("spec.allow.node_labels").form, Form::Labels);
    assert_eq!(form("spec.allow.request.annotations").form, Form::Traits);
    assert_eq!(form("metadata.expires").form, Form::Timestamp);
    assert!(form("metadata.revision").server_owned);
    assert!(form("spec.allow.logins").unordered);
    assert!(!form("spec.allow.rules").unordered);
    let Form::Enum(words) = &form("spec.options.require_session_mfa").form else { panic!() };
    assert_eq!(
        words[..4],
        [("no".into(), 0), ("false".into(), 0), ("yes".into(), 1), ("true".into(), 1)]
    );
    assert!(!role.fields["spec"].secret);

    let kube = schema::of(kind::find("kube_cluster").unwrap());
    let Form::Message(spec) = &kube.fields["spec"].form else { panic!() };
    assert!(spec.fields["kubeconfig"].secret);
    assert_eq!(spec.fields["kubeconfig"].form, Form::Bytes);
    let trust = schema::of(kind::find("trusted_cluster").unwrap());
    let Form::Message(spec) = &trust.fields["spec"].form else { panic!() };
    assert!(spec.fields["token"].secret);
    assert!(spec.fields.contains_key("web_proxy_addr"));
}

#[test]
fn codes_are_one_each_and_sorted() {
    let codes: Vec<&str> = codes::CODES.iter().map(|(code, _)| code.0).collect();
    let mut sorted = codes.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(codes, sorted);
    for (code, meaning) in codes::CODES {
        assert!(code.0.starts_with('K') && code.0.len() == 4, "{code}");
        assert!(meaning.ends_with('.'), "{meaning}");
    }
}

#[test]
fn references_are_the_local_roles_without_expansion() {
    let kind = kind::find("trusted_cluster").unwrap();
    let value = Value::from_json(
        r#"{"spec":{"role_map":[{"remote":"a","local":["x","y"]},{"remote":"*","local":["$1","y","lit$","p-${1}"]}]}}"#,
    )
    .unwrap();
    let names: Vec<String> =
        kind.references.unwrap()(&value).iter().map(ToString::to_string).collect();
    assert_eq!(names, ["role/lit$", "role/x", "role/y"]);
    let kind = kind::find("user").unwrap();
    let value = Value::from_json(r#"{"spec":{"roles":["b","a","b"]}}"#).unwrap();
    let names: Vec<String> =
        kind.references.unwrap()(&value).iter().map(ToString::to_string).collect();
    assert_eq!(names, ["role/a", "role/b"]);
}

#[test]
fn a_child_is_ready_when_active() {
    use reconciler::model::Readiness;
    let kind = kind::find("workload_cluster").unwrap();
    let at = |json: &str| (kind.readiness)(&Value::from_json(json).unwrap());
    assert_eq!(at(r#"{"status":{"state":"active"}}"#), Readiness::Ready);
    assert_eq!(at(r#"{"status":{"state":"creating"}}"#), Readiness::Waiting("creating".into()));
    assert_ne!(at("{}"), Readiness::Ready);
}

/// Compared with the protobuf files of 18.0.0.
#[test]
fn what_18_0_0_does_not_have_is_known() {
    fn walk(schema: &Schema, at: &str, out: &mut BTreeSet<String>) {
        for (name, field) in &schema.fields {
            let at = format!("{at}.{name}");
            if let Some(last) = field.lacked_by {
                assert_eq!(last.to_string(), "18.0.0");
                out.insert(at.clone());
            }
            let mut form = &field.form;
            while let Form::List(inner) | Form::Map(inner) = form {
                form = inner;
            }
            if let Form::Message(inner) = form {
                walk(inner, &at, out);
            }
        }
    }
    let mut found = BTreeSet::new();
    for kind in KINDS {
        walk(schema::of(kind), kind.name.as_str(), &mut found);
    }
    let mut expected = BTreeSet::from(
        [
            "token.spec.allow.aws_organization_id",
            "token.spec.integration",
            "token.spec.kubernetes.oidc",
        ]
        .map(String::from),
    );
    for side in ["allow", "deny"] {
        for field in [
            "linux_desktop_labels",
            "linux_desktop_labels_expression",
            "linux_desktop_logins",
            "mcp",
            "request.reason.prompt",
        ] {
            expected.insert(format!("role.spec.{side}.{field}"));
        }
    }
    assert_eq!(found, expected);
}
