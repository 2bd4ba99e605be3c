//! A document as it was written: every key and value with its place.

use std::ops::Range;

/// How a scalar was written; only a plain one is more than text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScalarStyle {
    /// Without quotes.
    Plain,
    /// Quoted, or a block.
    Text,
}

/// A scalar after Teleport's own rules (YAML 1.1 as Go's yaml.v2 reads it).
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    /// `null`, `~`, or nothing.
    Null,
    /// `true`, but also `yes`, `on`, `y`.
    Bool(bool),
    /// Decimal, octal (`010` is 8), hexadecimal, binary, with `_` anywhere.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Everything else.
    String(String),
}

/// One node of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Byte range in the file.
    pub span: Range<u32>,
    /// What stands there.
    pub value: NodeValue,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeValue {
    /// A leaf. `text` is as written (unescaped), for messages.
    Scalar {
        /// What Teleport reads.
        scalar: Scalar,
        /// What the person wrote.
        text: String,
        /// Whether it was quoted.
        style: ScalarStyle,
    },
    /// A sequence.
    List(Vec<Node>),
    /// A mapping in written order; keys may be duplicate here, the reader reports them.
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// The key's text, if this node is a scalar.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            NodeValue::Scalar { text, .. } => Some(text),
            NodeValue::List(_) | NodeValue::Map(_) => None,
        }
    }

    /// The value of a key in a mapping.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match &self.value {
            NodeValue::Map(entries) => {
                entries.iter().find(|(name, _)| name.text() == Some(key)).map(|(_, value)| value)
            }
            NodeValue::Scalar { .. } | NodeValue::List(_) => None,
        }
    }
}
