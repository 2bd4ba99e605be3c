//! One document: which resource it is, and what it says of it.

use std::ops::Range;
use std::sync::Arc;

use super::reference::{self, Filling, Secrets};
use super::split::{self, Piece};
use super::suggest::nearest;
use super::yaml::{self, Parsed};
use super::{Directives, check, codes, directive, redact};
use crate::kind::{self, KINDS, Kind, canonical, schema};
use crate::model::tree::NodeValue;
use crate::model::{
    Cluster, Diagnostic, Findings, FingerprintKey, Node, Place, Resource, ResourceId, Scalar,
    Severity,
};

/// What one file says.
#[derive(Debug, Default)]
pub(super) struct FileReading {
    /// Documents of which kind and name are known.
    pub(super) documents: Vec<Document>,
    /// The others.
    pub(super) unknown: Vec<Place>,
    /// All findings, sorted.
    pub(super) findings: Vec<Diagnostic>,
    /// The references that were followed.
    pub(super) used: reference::Used,
}

/// A document whose kind and name are known.
#[derive(Debug)]
pub(super) struct Document {
    /// What it is about.
    pub(super) id: ResourceId,
    /// Where it stands.
    pub(super) at: Place,
    /// Where its name stands.
    pub(super) named_at: Place,
    /// What it says; absent when there is an error in it.
    pub(super) manifest: Option<(Arc<Resource>, Directives)>,
}

/// Reads one file, document by document. Findings stay where they were put.
pub(super) fn read_file(
    bytes: &[u8],
    secrets: &Secrets,
    key: &FingerprintKey,
    findings: &mut Findings<'_>,
) -> FileReading {
    let mut reading = FileReading::default();
    for piece in split::pieces(bytes, findings) {
        match piece {
            Piece::Broken(range) => reading.unknown.push(place(&split::span(&range), findings)),
            Piece::Text(range) => {
                let text = bytes.get(range.clone()).map(std::str::from_utf8);
                let Some(Ok(text)) = text else { continue };
                // Of this document alone: another one must not use up what is kept of errors.
                let (path, mut own) = (Arc::clone(&findings.path), Vec::new());
                let mut found = Findings { path, out: &mut own };
                read_document((text, &range), secrets, key, &mut found, &mut reading);
                for finding in own {
                    findings.push(finding);
                }
            }
        }
    }
    reading
}

fn place(span: &Range<u32>, findings: &Findings<'_>) -> Place {
    Place { path: Arc::clone(&findings.path), start: span.start, end: span.end }
}

/// `findings`: of nothing but this document.
fn read_document(
    (text, range): (&str, &Range<usize>),
    secrets: &Secrets,
    key: &FingerprintKey,
    findings: &mut Findings<'_>,
    reading: &mut FileReading,
) {
    let base = split::span(range).start;
    let mut root = match yaml::parse(text, base, findings) {
        Parsed::Empty => return,
        Parsed::Broken => {
            let start = range.start + (text.len() - text.trim_start().len());
            let end = range.start + text.trim_end().len();
            reading.unknown.push(place(&split::span(&(start..end.max(start))), findings));
            return;
        }
        Parsed::Tree(root) => root,
    };
    let at = whole_lines(text, base, &root, findings);
    let mut filling = Filling { secrets, used: &mut reading.used };
    let document = resource(&mut root, &at, &mut filling, key, findings);
    if let Some(kind) = named_kind(&root).filter(|kind| kind.name.has_secret_names()) {
        redact::hide(kind, &root, findings.out);
    }
    match document {
        Some(document) => reading.documents.push(document),
        None => reading.unknown.push(at),
    }
}

/// From the beginning of the root's first line, so that the range can be parsed by itself.
fn whole_lines(text: &str, base: u32, root: &Node, findings: &Findings<'_>) -> Place {
    let offset = usize::try_from(root.span.start.saturating_sub(base)).unwrap_or(0);
    let before = text.get(..offset).unwrap_or_default();
    let line = before.rfind('\n').map_or(0, |newline| newline + 1);
    let start = base.saturating_add(u32::try_from(line).unwrap_or(0));
    place(&(start..root.span.end.max(start)), findings)
}

fn resource(
    root: &mut Node,
    at: &Place,
    filling: &mut Filling<'_>,
    key: &FingerprintKey,
    findings: &mut Findings<'_>,
) -> Option<Document> {
    let kind = find_kind(root, findings)?;
    check_version(root, kind, findings);
    let name = find_name(root, findings);
    filling.document(root, schema::of(kind), findings);
    let mut value = check::document(root, schema::of(kind), findings);
    let directives = directive::read(root, findings);
    // What is no field hides nothing of what stands in the others; what has another form does.
    let is_readable =
        |it: &Diagnostic| it.severity != Severity::Error || it.code == codes::UNKNOWN_FIELD;
    if findings.out.iter().all(is_readable) {
        (kind.check)(root, findings);
    }
    let (name, named_at) = name?;
    let is_right = findings.out.iter().all(|finding| finding.severity != Severity::Error);
    // What is wrong with it may be what says that its name is a secret: then nobody knows what
    // the name stands for.
    if !is_right && kind.name.has_secret_names() {
        return None;
    }
    let named_at = place(&named_at, findings);
    if !is_right {
        let id = ResourceId { cluster: Cluster::Parent, kind: kind.name, name: name.into() };
        return Some(Document { id, at: at.clone(), named_at, manifest: None });
    }
    directive::strip(&mut value);
    let resource = canonical::resource(kind, Cluster::Parent, &name, value, key);
    let id = resource.id.clone();
    let manifest = Some((Arc::new(resource), directives));
    Some(Document { id, at: at.clone(), named_at, manifest })
}

/// The text of a field; `None` where it is missing, null or something else.
fn text<'a>(node: Option<&'a Node<'a>>) -> Option<&'a str> {
    match node.map(|node| &node.value) {
        Some(NodeValue::Scalar { scalar: Scalar::String(text), .. }) if !text.is_empty() => {
            Some(text)
        }
        Some(NodeValue::Scalar { .. } | NodeValue::List(_) | NodeValue::Map(_)) | None => None,
    }
}

/// How often a key stands in a mapping. More than once: nobody knows which is meant.
fn times(node: &Node, key: &str) -> usize {
    match &node.value {
        NodeValue::Map(entries) => {
            entries.iter().filter(|(name, _)| name.text() == Some(key)).count()
        }
        NodeValue::Scalar { .. } | NodeValue::List(_) => 0,
    }
}

/// The field that says what a document is.
const KIND: &str = "kind";

fn find_kind(root: &Node, findings: &mut Findings<'_>) -> Option<&'static Kind> {
    let NodeValue::Map(entries) = &root.value else {
        let message = "the document is not a mapping";
        let hint = Some("a resource begins with `kind:`");
        findings.add(Severity::Error, codes::NOT_A_MAPPING, &root.span, message, hint);
        return None;
    };
    let names: Vec<&str> = KINDS.iter().map(|kind| kind.name.as_str()).collect();
    let Some(node) = root.get(KIND).filter(|node| !node.is_null()) else {
        // The key is an unknown field; with what it says, the other fields are judged too.
        if let Some(kind) = misspelled_kind(entries) {
            return Some(kind);
        }
        let first = entries.first().map_or(&root.span, |(key, _)| &key.span);
        let hint = format!("known kinds: {}", check::list(&names));
        let message = "`kind` is missing";
        findings.add(Severity::Error, codes::KIND_MISSING, first, message, Some(&hint));
        return None;
    };
    let Some(word) = text(Some(node)) else {
        let message = "`kind` must be text";
        let hint = format!("known kinds: {}", check::list(&names));
        findings.add(Severity::Error, codes::WRONG_TYPE, &node.span, message, Some(&hint));
        return None;
    };
    if times(root, KIND) > 1 {
        return None;
    }
    if let Some(kind) = kind::find(word) {
        return Some(kind);
    }
    if let Some(kind) = kind::find_word(word) {
        let message = format!("the kind `{word}` is written `{}` in manifests", kind.name);
        let hint = format!("write `kind: {}`", kind.name);
        findings.add(Severity::Error, codes::KIND_SPELLING, &node.span, message, Some(&hint));
        return None;
    }
    let message = format!("the kind `{word}` is not managed by this version");
    let hint = match nearest(word, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if root.get("apiVersion").is_some() => {
            "this is a Kubernetes manifest: keep it elsewhere".into()
        }
        None => format!("known kinds: {}", check::list(&names)),
    };
    findings.add(Severity::Error, codes::KIND_UNKNOWN, &node.span, message, Some(&hint));
    None
}

/// The kind that a document names, in whichever way.
fn named_kind(root: &Node) -> Option<&'static Kind> {
    let NodeValue::Map(entries) = &root.value else { return None };
    text(root.get(KIND)).and_then(kind::find).or_else(|| misspelled_kind(entries))
}

/// The kind that a document names under a key that is nearly `kind` and no field.
fn misspelled_kind(entries: &[(Node, Node)]) -> Option<&'static Kind> {
    entries.iter().find_map(|(key, value)| {
        let typed = key.text().filter(|typed| *typed != KIND)?;
        let kind = kind::find(text(Some(value))?)?;
        let is_field = schema::of(kind).fields.contains_key(typed);
        (!is_field && nearest(typed, [KIND]).is_some()).then_some(kind)
    })
}

fn check_version(root: &Node, kind: &Kind, findings: &mut Findings<'_>) {
    let newest = kind.versions.first().copied().unwrap_or_default();
    let node = root.get("version").filter(|node| node.text() != Some(""));
    let Some(node) = node.filter(|node| !node.is_null()) else {
        let at = root.get(KIND).map_or(&root.span, |node| &node.span);
        let message = format!("`version` is missing from this `{}`", kind.name);
        let hint = format!("add `version: {newest}`");
        findings.add(Severity::Error, codes::VERSION_MISSING, at, message, Some(&hint));
        return;
    };
    // What is not text is reported with the other fields.
    let Some(version) = text(Some(node)) else { return };
    if !kind.versions.contains(&version) {
        let message = format!("`{}` has no version `{version}`", kind.name);
        let hint = format!("known versions: {}", check::list(kind.versions));
        findings.add(Severity::Error, codes::VERSION_UNKNOWN, &node.span, message, Some(&hint));
    }
}

/// The name and where it stands.
fn find_name(root: &Node, findings: &mut Findings<'_>) -> Option<(String, Range<u32>)> {
    let metadata = root.get("metadata").filter(|node| !node.is_null());
    let node = metadata.and_then(|metadata| metadata.get("name"));
    match node {
        Some(node) if !node.is_null() && node.text() != Some("") => {
            let certain = times(root, "metadata") == 1
                && metadata.is_some_and(|metadata| times(metadata, "name") == 1);
            let name = text(Some(node)).filter(|_| certain)?;
            Some((name.to_owned(), node.span.clone()))
        }
        Some(_) | None => {
            let fallback = metadata.or(root.get(KIND)).unwrap_or(root);
            let at = node.unwrap_or(fallback);
            let message = "`metadata.name` is missing";
            let hint = Some("give the resource a name");
            findings.add(Severity::Error, codes::NAME_MISSING, &at.span, message, hint);
            None
        }
    }
}
