//! Finding the place of a field again: manifests keep no trees.

use super::split::{self, Piece};
use super::yaml::{self, Parsed};
use crate::model::tree::NodeValue;
use crate::model::{FieldPath, Findings, Node, Place, Segment};

/// The place of a field of the document at `document`, by parsing it again. Where the path
/// leads further than the document, the place of the last part that is there; for a field of a
/// mapping, its key and value together. `None` if the document cannot be read.
pub fn locate(bytes: &[u8], document: &Place, path: &FieldPath) -> Option<Place> {
    let root = tree(bytes, document)?;
    let mut node = &root;
    let mut span = root.span.clone();
    for segment in &path.0 {
        let next = match (segment, &node.value) {
            (Segment::Key(name), NodeValue::Map(entries)) => entries
                .iter()
                .find(|(key, _)| key.text() == Some(name))
                .map(|(key, value)| (key.span.start..value.span.end.max(key.span.end), value)),
            (Segment::Index(index), NodeValue::List(items)) => {
                items.get(*index).map(|item| (item.span.clone(), item))
            }
            (Segment::Key(_), NodeValue::List(_) | NodeValue::Scalar { .. })
            | (Segment::Index(_), NodeValue::Map(_) | NodeValue::Scalar { .. }) => None,
        };
        let Some((at, inner)) = next else { break };
        // What came by an alias stands elsewhere; key and value are not one range then.
        span = if at.start <= inner.span.start { at } else { inner.span.clone() };
        node = inner;
    }
    Some(Place { path: document.path.clone(), start: span.start, end: span.end.max(span.start) })
}

/// The document's tree, without findings.
fn tree<'a>(bytes: &'a [u8], document: &Place) -> Option<Node<'a>> {
    let range = document.range();
    let mut ignored = Vec::new();
    let mut findings = Findings { path: document.path.clone(), out: &mut ignored };
    let pieces = split::pieces(bytes, &mut findings);
    let piece = pieces.into_iter().find_map(|piece| match piece {
        Piece::Text(piece) if piece.start <= range.start && range.start < piece.end => Some(piece),
        Piece::Text(_) | Piece::Broken(_) => None,
    })?;
    let text = std::str::from_utf8(bytes.get(piece.clone())?).ok()?;
    match yaml::parse(text, split::span(&piece).start, &mut findings) {
        Parsed::Tree(root) => Some(root),
        Parsed::Empty | Parsed::Broken => None,
    }
}
