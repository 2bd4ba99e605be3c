//! A document as it was written: every key and value with its place.

use std::borrow::Cow;
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
pub enum Scalar<'a> {
    /// `null`, `~`, or nothing.
    Null,
    /// `true`, but also `yes`, `on`, `y`.
    Bool(bool),
    /// Decimal, octal (`010` is 8), hexadecimal, binary, with `_` anywhere.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Everything else.
    String(Cow<'a, str>),
}

/// One node of a document, whose text it mostly borrows.
#[derive(Debug, Clone, PartialEq)]
pub struct Node<'a> {
    /// Byte range in the file.
    pub span: Range<u32>,
    /// What stands there.
    pub value: NodeValue<'a>,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeValue<'a> {
    /// A leaf. `text` is as written (unescaped), for messages.
    Scalar {
        /// What Teleport reads.
        scalar: Scalar<'a>,
        /// What the person wrote.
        text: Cow<'a, str>,
        /// Whether it was quoted.
        style: ScalarStyle,
    },
    /// A sequence.
    List(Vec<Node<'a>>),
    /// A mapping in written order; keys may be duplicate here, the reader reports them.
    Map(Vec<(Node<'a>, Node<'a>)>),
}

impl Node<'_> {
    /// What a scalar says: the text that Teleport reads (another one than stands there under
    /// `!!binary`), else what was written.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            NodeValue::Scalar { scalar: Scalar::String(text), .. }
            | NodeValue::Scalar { text, .. } => Some(text),
            NodeValue::List(_) | NodeValue::Map(_) => None,
        }
    }

    /// Whether it was written as nothing, which means unset.
    pub fn is_null(&self) -> bool {
        matches!(&self.value, NodeValue::Scalar { scalar: Scalar::Null, .. })
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
