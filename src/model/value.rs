//! A resource as data, in the form that `tctl get` prints.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, SerializeSeq as _, Serializer};

/// What JSON can say, in a defined order. Bytes stand as base64, durations as Go writes them,
/// times as RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// Written `null`; in a resource it means unset.
    Null,
    /// True or false.
    Bool(bool),
    /// No message of ours has a fraction.
    Int(i64),
    /// Text.
    String(String),
    /// In order.
    List(Vec<Value>),
    /// By key.
    Map(BTreeMap<String, Value>),
}

impl Value {
    /// An empty map.
    pub fn map() -> Self {
        Self::Map(BTreeMap::new())
    }

    /// The entry of a map, if this is one and has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(entries) => entries.get(key),
            Self::Null | Self::Bool(_) | Self::Int(_) | Self::String(_) | Self::List(_) => None,
        }
    }

    /// The text, if it is text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            Self::Null | Self::Bool(_) | Self::Int(_) | Self::List(_) | Self::Map(_) => None,
        }
    }

    /// Compact JSON with sorted keys: the canonical bytes of a resource.
    pub fn to_json(&self) -> String {
        serde_json::to_string(&Json(self)).unwrap_or_default()
    }

    /// Reads what [`Value::to_json`] wrote.
    ///
    /// # Errors
    /// Text that is not JSON; a fraction or a number beyond 64 bits becomes text.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// As `serde_json` holds it.
    pub fn to_serde(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(value) => (*value).into(),
            Self::Int(value) => (*value).into(),
            Self::String(value) => value.clone().into(),
            Self::List(items) => items.iter().map(Self::to_serde).collect(),
            Self::Map(entries) => {
                entries.iter().map(|(key, value)| (key.clone(), value.to_serde())).collect()
            }
        }
    }

    /// From what `serde_json` holds.
    pub fn from_serde(value: serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(value),
            serde_json::Value::Number(number) => {
                number.as_i64().map_or_else(|| Self::String(number.to_string()), Self::Int)
            }
            serde_json::Value::String(text) => Self::String(text),
            serde_json::Value::Array(items) => {
                Self::List(items.into_iter().map(Self::from_serde).collect())
            }
            serde_json::Value::Object(entries) => Self::Map(
                entries.into_iter().map(|(key, value)| (key, Self::from_serde(value))).collect(),
            ),
        }
    }
}

/// Reads JSON without a tree of somebody else's in between.
impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or_else(|_| Value::String(value.to_string()), Value::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from_serde(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = BTreeMap::new();
        while let Some((key, value)) = entries.next_entry()? {
            map.insert(key, value);
        }
        Ok(Value::Map(map))
    }
}

/// Writes a value without a copy of the tree. Values hold secrets, so that they have no
/// `Serialize` that anybody could reach by accident.
struct Json<'a>(&'a Value);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Int(value) => serializer.serialize_i64(*value),
            Value::String(text) => serializer.serialize_str(text),
            Value::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(&Json(item))?;
                }
                list.end()
            }
            Value::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, &Json(value))?;
                }
                map.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_read_as_serde_json_would() {
        for text in [
            "null",
            "[true,false,null,\"a\\u0041\",[],{}]",
            "{\"b\":1,\"a\":{\"c\":[-1,9223372036854775807]},\"b\":2}",
            "9223372036854775808",
            "-9223372036854775808",
            "1.5",
            "1e400",
            "-0",
            "-0.0",
            "18446744073709551616",
            "\"\\ud83d\\ude00 \\n\"",
            "[1,]",
            "{\"a\"}",
            "",
            "1 2",
            "{\"a\":1}x",
            &"[".repeat(200),
        ] {
            let other = serde_json::from_str::<serde_json::Value>(text).map(Value::from_serde);
            let (ours, theirs) = (Value::from_json(text).ok(), other.ok());
            assert_eq!(ours, theirs, "{text}");
        }
    }
}
