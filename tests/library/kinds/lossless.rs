//! What travelled is decoded and encoded again by our messages without loss.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost_reflect::prost::Message as _;
use prost_reflect::{DynamicMessage, Value};
use reconciler::wire::DESCRIPTORS;

use super::recorded::{RECORDED, answer_type, lines, request_type};

/// Fields that are left out on purpose: of a message, these numbers, and why.
const LEFT_OUT: &[(&str, &[u32], &str)] = &[(
    "proto.Features",
    &[1, 2, 3, 4, 5, 9, 10, 18, 19, 20, 21, 23, 25, 26, 31, 33, 34],
    "deprecated in favour of `entitlements`; nothing reads them",
)];

fn strangers(message: &DynamicMessage, out: &mut BTreeMap<String, Vec<u32>>) {
    use prost_reflect::ReflectMessage as _;
    let name = message.descriptor().full_name().to_owned();
    for field in message.unknown_fields() {
        let left_out = LEFT_OUT
            .iter()
            .any(|(message, numbers, _)| *message == name && numbers.contains(&field.number()));
        if !left_out {
            out.entry(name.clone()).or_default().push(field.number());
        }
    }
    for (_, value) in message.fields() {
        match value {
            Value::Message(inner) => strangers(inner, out),
            Value::List(items) => {
                items.iter().filter_map(Value::as_message).for_each(|inner| strangers(inner, out));
            }
            Value::Map(entries) => {
                let inner = entries.values().filter_map(Value::as_message);
                inner.for_each(|inner| strangers(inner, out));
            }
            _ => {}
        }
    }
}

#[test]
fn every_recorded_message_is_known_to_its_last_field() {
    let mut unknown = BTreeMap::new();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for line in lines(RECORDED) {
        let both = [
            (request_type(&line.method), &line.request),
            (answer_type(&line.method), &line.answer),
        ];
        for (name, wire) in both {
            let (Some(name), Some(wire)) = (name, wire) else { continue };
            let descriptor = DESCRIPTORS.get_message_by_name(&name).unwrap();
            let message = DynamicMessage::decode(descriptor.clone(), wire.clone())
                .unwrap_or_else(|error| panic!("{} {}: {error}", line.case, line.step));
            strangers(&message, &mut unknown);
            let again: Bytes = message.encode_to_vec().into();
            let back = DynamicMessage::decode(descriptor, again).unwrap();
            assert_eq!(back, message, "{} {}", line.case, line.step);
            *seen.entry(name).or_default() += 1;
        }
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
    let total: usize = seen.values().sum();
    assert!(total > 400 && seen.len() > 40, "{total} messages of {} types", seen.len());
}
