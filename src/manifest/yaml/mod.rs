//! One document's text read into a tree in which every key and value knows its place.
//!
//! Syntax is granit-parser's, meaning is [`scalar`]'s. What granit reads is compared with
//! a second reader ([`libyaml`]) before it counts.

use std::borrow::Cow;
use std::collections::BTreeMap;

use granit_parser::{
    Event, Options, Parser, ScalarStyle as Written, Span, StrInput, StructureStyle,
};

pub mod libyaml;
mod merge;
pub mod scalar;
pub mod syntax;

use self::syntax::Problem;
use crate::manifest::codes;
use crate::model::tree::NodeValue;
use crate::model::{Code, Findings, Node, Scalar, ScalarStyle, Severity};

/// Deepest nesting of lists and mappings. Teleport's own resources stay below 12.
pub const DEPTH_MAX: usize = 64;

/// Most nodes of one document once its aliases are filled in.
pub const NODES_MAX: usize = 100_000;

/// Most bytes of text of a document with aliases once these are filled in: what Teleport's own
/// messages end at.
pub const FILLED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What one document turned out to be.
#[derive(Debug, Clone, PartialEq)]
pub enum Parsed<'a> {
    /// Nothing but comments.
    Empty,
    /// Not readable; reported.
    Broken,
    /// A tree. It may still have been reported, for a duplicate key say.
    Tree(Node<'a>),
}

/// Reads one document. `base` is the offset of `text` in its file.
pub fn parse<'a>(text: &'a str, base: u32, findings: &mut Findings<'_>) -> Parsed<'a> {
    if let Some(range) = syntax::directive(text) {
        let hint = "remove the line; Teleport refuses it too";
        let message = "a YAML directive";
        let at = shift(&range, base);
        findings.add(Severity::Error, codes::DIRECTIVE, &at, message, Some(hint));
        return Parsed::Broken;
    }
    let before = findings.out.len();
    let mut options = Options::default();
    options.set_emit_comments(false);
    options.flow_nesting_limit = DEPTH_MAX;
    options.block_nesting_limit = DEPTH_MAX;
    let parser = Parser::new_from_str_with_options(text, options);
    let anchors = BTreeMap::new();
    let (size, kept) = (Size::default(), Size::default());
    let mut builder = Builder { parser, text, base, findings, anchors, size, kept, merges: false };
    let built = builder.document();
    let merges = builder.merges;
    let node = match built {
        Ok(Some(node)) => node,
        Ok(None) => return Parsed::Empty,
        Err(problem) => {
            let at = shift(&problem.range, base);
            let hint = problem.hint.as_deref();
            findings.add(Severity::Error, problem.code, &at, problem.message, hint);
            return Parsed::Broken;
        }
    };
    let clean = findings.out.len() == before;
    if clean
        && !libyaml::is_plain(text)
        && let Err(problem) = libyaml::agrees(text, base, &node)
    {
        let at = shift(&problem.range, base);
        let hint = problem.hint.as_deref();
        findings.add(Severity::Error, problem.code, &at, problem.message, hint);
        return Parsed::Broken;
    }
    Parsed::Tree(if merges { merge::fill(node, findings) } else { node })
}

/// A range of the document as a range of the file.
fn shift(range: &std::ops::Range<usize>, base: u32) -> std::ops::Range<u32> {
    let offset = |offset: usize| base.saturating_add(u32::try_from(offset).unwrap_or(u32::MAX));
    offset(range.start)..offset(range.end)
}

/// How much a part of a document is once its aliases are filled in.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    nodes: usize,
    /// Of scalars.
    bytes: usize,
}

impl Size {
    fn plus(self, other: Self) -> Self {
        let nodes = self.nodes.saturating_add(other.nodes);
        Self { nodes, bytes: self.bytes.saturating_add(other.bytes) }
    }

    fn minus(self, other: Self) -> Self {
        let nodes = self.nodes.saturating_sub(other.nodes);
        Self { nodes, bytes: self.bytes.saturating_sub(other.bytes) }
    }
}

struct Builder<'a, 'f, 'g> {
    parser: Parser<'a, StrInput<'a>>,
    text: &'a str,
    base: u32,
    findings: &'f mut Findings<'g>,
    /// Finished nodes with an anchor, and how much each is.
    anchors: BTreeMap<usize, (Node<'a>, Size)>,
    /// Of the document so far.
    size: Size,
    /// Of all anchors: anchors inside of each other keep their innermost nodes many times.
    kept: Size,
    merges: bool,
}

impl<'a> Builder<'a, '_, '_> {
    /// The root, unless the document is empty.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the parser's enum may grow")]
    fn document(&mut self) -> Result<Option<Node<'a>>, Problem> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentEnd => {}
                Event::DocumentStart(..) if root.is_none() => {
                    let (event, span) = self.next()?;
                    root = Some(self.node(event, span)?);
                }
                Event::DocumentStart(..) => {
                    let message = "text after the end of the document";
                    let range = self.range(span);
                    let hint = Some("begin the next document with `---`".to_owned());
                    return Err(Problem {
                        code: codes::AFTER_END,
                        range,
                        message: message.into(),
                        hint,
                    });
                }
                Event::StreamEnd => break,
                // A node outside of a document, or an event of a later version of the parser.
                _ => return Err(self.unexpected(span)),
            }
        }
        Ok(root.filter(|root| !is_nothing(root)))
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Problem> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(syntax::problem(self.text, &error)),
            None => Ok((Event::StreamEnd, Span::empty(granit_parser::Marker::default()))),
        }
    }

    fn unexpected(&self, span: Span) -> Problem {
        let message = "text that belongs to no key".to_owned();
        let hint = Some("remove it, or give it a key".to_owned());
        Problem { code: codes::SYNTAX, range: self.range(span), message, hint }
    }

    fn range(&self, span: Span) -> std::ops::Range<usize> {
        let end = self.text.len();
        let range = span.byte_range().unwrap_or(end..end);
        let (start, end) = (range.start.min(end), range.end.min(end));
        let written = self.text.get(start..end).unwrap_or_default();
        start..start + written.trim_end().len()
    }

    /// What has no aliases is as large as it was written.
    fn limit(&self, size: Size, span: Span) -> Result<Size, Problem> {
        let message = if size.nodes > NODES_MAX {
            format!("the document has more than {NODES_MAX} values once its aliases are filled in")
        } else if size.bytes > FILLED_BYTES_MAX.max(self.text.len()) {
            format!(
                "the document has more than {FILLED_BYTES_MAX} bytes once its aliases are filled in"
            )
        } else {
            return Ok(size);
        };
        let hint = Some("write out what is needed".to_owned());
        Err(Problem { code: codes::TOO_MANY_NODES, range: self.range(span), message, hint })
    }

    fn count(&mut self, nodes: usize, bytes: usize, span: Span) -> Result<(), Problem> {
        self.size = self.limit(self.size.plus(Size { nodes, bytes }), span)?;
        Ok(())
    }

    fn alias(&mut self, id: usize, span: Span) -> Result<Node<'a>, Problem> {
        let Some(size) = self.anchors.get(&id).map(|(_, size)| *size) else {
            return Err(self.inside_itself(span));
        };
        // Before anything is copied.
        self.count(size.nodes, size.bytes, span)?;
        let found = self.anchors.get(&id).map(|(node, _)| node.clone());
        found.ok_or_else(|| self.inside_itself(span))
    }

    fn inside_itself(&self, span: Span) -> Problem {
        let message = "an alias inside its own anchor".to_owned();
        let hint = Some("write out what is meant".to_owned());
        Problem { code: codes::SYNTAX, range: self.range(span), message, hint }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the parser's enum may grow")]
    fn node(&mut self, event: Event<'a>, span: Span) -> Result<Node<'a>, Problem> {
        let before = self.size;
        let (node, anchor) = match event {
            Event::Alias(id) => return self.alias(id, span),
            Event::Scalar(text, style, anchor, tag) => {
                self.count(1, text.len(), span)?;
                let tag = tag.map(|tag| format!("{}{}", tag.handle(), tag.suffix()));
                (self.scalar(text, style, tag.as_deref(), span), anchor)
            }
            Event::SequenceStart(style, anchor, _) => {
                self.count(1, 0, span)?;
                (self.sequence(style, span)?, anchor)
            }
            Event::MappingStart(style, anchor, _) => {
                self.count(1, 0, span)?;
                (self.mapping(style, span)?, anchor)
            }
            // The end of what has not begun, or an event of a later version of the parser.
            _ => return Err(self.unexpected(span)),
        };
        if anchor != 0 {
            let size = self.size.minus(before);
            self.kept = self.limit(self.kept.plus(size), span)?;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        Ok(node)
    }

    fn scalar(
        &mut self,
        mut text: Cow<'a, str>,
        style: Written,
        tag: Option<&str>,
        span: Span,
    ) -> Node<'a> {
        let range = self.range(span);
        let block = matches!(style, Written::Literal | Written::Folded);
        // Without a final newline in the file Go reads none here; granit adds it.
        if block
            && text.ends_with('\n')
            && range.end == self.text.trim_end().len()
            && !self.text.ends_with('\n')
        {
            text.to_mut().pop();
        }
        let style = if style == Written::Plain { ScalarStyle::Plain } else { ScalarStyle::Text };
        // A value that is missing comes as `~` at an empty range.
        if style == ScalarStyle::Plain && range.is_empty() {
            text = Cow::Borrowed("");
        }
        let span = shift(&range, self.base);
        let scalar = scalar::resolve(text.clone(), style, tag).unwrap_or_else(|message| {
            let hint = match tag {
                Some(_) => Some("remove the tag, or fix the value"),
                None => Some("quote the value"),
            };
            self.findings.add(Severity::Error, codes::BAD_SCALAR, &span, message, hint);
            Scalar::Null
        });
        Node { span, value: NodeValue::Scalar { scalar, text, style } }
    }

    fn sequence(&mut self, style: StructureStyle, start: Span) -> Result<Node<'a>, Problem> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                let last = items.last().map(|item: &Node<'_>| item.span.end);
                let span = self.whole(style, start, span, last);
                return Ok(Node { span, value: NodeValue::List(items) });
            }
            items.push(self.node(event, span)?);
        }
    }

    fn mapping(&mut self, style: StructureStyle, start: Span) -> Result<Node<'a>, Problem> {
        let mut entries: Vec<(Node<'_>, Node<'_>)> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                let last = entries.last().map(|(key, value)| key.span.end.max(value.span.end));
                let span = self.whole(style, start, span, last);
                self.duplicates(&entries);
                return Ok(Node { span, value: NodeValue::Map(entries) });
            }
            let key = self.node(event, span)?;
            let (event, span) = self.next()?;
            let value = self.node(event, span)?;
            if merge::is_merge(&key) {
                self.merges = true;
            } else if let Some((message, hint)) = bad_key(&key) {
                self.error(codes::BAD_KEY, &key, message, hint);
            }
            entries.push((key, value));
        }
    }

    /// A block collection ends where its last item ends, a flow collection at its bracket.
    fn whole(
        &self,
        style: StructureStyle,
        start: Span,
        end: Span,
        last: Option<u32>,
    ) -> std::ops::Range<u32> {
        let start = shift(&self.range(start), self.base).start;
        let end = match style {
            StructureStyle::Flow => shift(&self.range(end), self.base).end,
            StructureStyle::Block => last.unwrap_or(start),
        };
        start..end.max(start)
    }

    fn duplicates(&mut self, entries: &[(Node<'_>, Node<'_>)]) {
        let texts = entries.iter().filter_map(|(key, _)| Some((key.text()?, key)));
        let mut keys: Vec<(&str, &Node<'_>)> = texts.collect();
        keys.sort_by_key(|(text, _)| *text);
        for pair in keys.windows(2) {
            let [(before, first), (text, key)] = pair else { continue };
            if before != text {
                continue;
            }
            let message = format!("`{text}` appears twice");
            let hint = "keep one of them; tctl would silently take the last";
            let first = (&first.span, "first here");
            self.findings.add_beside(codes::DUPLICATE_KEY, &key.span, message, hint, first);
        }
    }

    fn error(&mut self, code: Code, at: &Node, message: impl Into<String>, hint: &str) {
        self.findings.add(Severity::Error, code, &at.span, message, Some(hint));
    }
}

/// Whether nothing at all was written.
fn is_nothing(node: &Node) -> bool {
    matches!(&node.value, NodeValue::Scalar { text, style, .. }
        if text.is_empty() && *style == ScalarStyle::Plain)
}

/// What is wrong with a key: one that Go would turn into another text, or that is none. Of a
/// number with a fraction or an exponent it keeps 32 bits, and nobody writes those as a name.
fn bad_key(key: &Node) -> Option<(String, &'static str)> {
    let NodeValue::Scalar { scalar, text, .. } = &key.value else {
        return Some(("a list or mapping as a key".into(), "write text as the key"));
    };
    let read_as = match scalar {
        Scalar::String(_) => return None,
        Scalar::Null => return Some(("a key that is null".into(), "write the key, or quote it")),
        Scalar::Bool(value) => value.to_string(),
        Scalar::Int(value) => value.to_string(),
        Scalar::Float(_) => {
            return Some((format!("the key `{text}` is read as a number"), "quote it"));
        }
    };
    (read_as != *text).then(|| (format!("the key `{text}` is read as `{read_as}`"), "quote it"))
}
