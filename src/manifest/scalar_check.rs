//! One value against the form that it must have.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::check::list;
use super::suggest::nearest;
use super::{codes, reference};
use crate::model::tree::NodeValue;
use crate::model::{Code, Findings, Node, Scalar, ScalarStyle, Severity, duration, secret};

/// Words that Teleport takes for booleans in text.
const TRUE_WORDS: &[&str] = &["yes", "yeah", "y", "true", "1", "on"];
/// See [`TRUE_WORDS`].
const FALSE_WORDS: &[&str] = &["no", "nope", "n", "false", "0", "off"];

/// Digits of an AWS account id.
const ACCOUNT_ID_DIGITS: usize = 12;

/// A value in its field.
pub(super) struct At<'a> {
    pub(super) node: &'a Node<'a>,
    /// The field, for messages.
    pub(super) name: &'a str,
    /// Whether messages must not show the value.
    pub(super) secret: bool,
}

impl At<'_> {
    fn error(&self, code: Code, message: String, hint: Option<&str>, findings: &mut Findings<'_>) {
        findings.add(Severity::Error, code, &self.node.span, message, hint);
    }

    /// The field, for a message. Labels have any name, and each may be in many messages.
    fn name(&self) -> String {
        short(self.name)
    }

    /// What was written, for a message.
    fn shown(&self) -> String {
        match &self.node.value {
            NodeValue::List(_) => "a list".into(),
            NodeValue::Map(_) => "a mapping".into(),
            NodeValue::Scalar { .. } if self.secret => "this value".into(),
            NodeValue::Scalar { text, .. } => format!("`{}`", short(text)),
        }
    }

    /// Reports that something else is wanted.
    pub(super) fn wrong(&self, wanted: &str, hint: &str, findings: &mut Findings<'_>) {
        let message = format!("`{}` must be {wanted}, not {}", self.name(), self.kind_of());
        self.error(codes::WRONG_TYPE, message, Some(hint), findings);
    }

    fn kind_of(&self) -> &'static str {
        match &self.node.value {
            NodeValue::List(_) => "a list",
            NodeValue::Map(_) => "a mapping",
            NodeValue::Scalar { scalar, .. } => match scalar {
                Scalar::Null => "nothing",
                Scalar::Bool(_) => "a boolean",
                Scalar::Int(_) | Scalar::Float(_) => "a number",
                Scalar::String(_) => "text",
            },
        }
    }

    /// Text. What YAML reads as something else needs quotes.
    pub(super) fn text(&self, findings: &mut Findings<'_>) -> Option<String> {
        let NodeValue::Scalar { scalar, text, style } = &self.node.value else {
            self.wrong("text", "write one value", findings);
            return None;
        };
        match scalar {
            Scalar::String(value) => {
                // References were filled in before. What is left stands in a name, or is the
                // content of another reference.
                if self.secret && reference::is_meant(value) {
                    let message = format!("`{}` cannot refer to a secret", self.name());
                    let hint = "write the value itself";
                    self.error(codes::SECRET_REFERENCE, message, Some(hint), findings);
                    return None;
                }
                if self.secret && secret::is_shown(value) {
                    let message =
                        format!("`{}` is the fingerprint of a secret, not the secret", self.name());
                    let hint = "`reconciler get` shows fingerprints: write the secret itself, or \
                                a reference to it (`secret://NAME/KEY`, `file://PATH`, `env://NAME`)";
                    self.error(codes::FINGERPRINT, message, Some(hint), findings);
                    return None;
                }
                Some(value.to_string())
            }
            Scalar::Null => Some(String::new()),
            Scalar::Bool(_) | Scalar::Int(_) | Scalar::Float(_) => {
                let message = format!(
                    "`{}` must be text, but YAML reads {} as {}",
                    self.name(),
                    self.shown(),
                    meaning(scalar, self.secret)
                );
                let account = text.len() == ACCOUNT_ID_DIGITS
                    && text.bytes().all(|byte| byte.is_ascii_digit());
                let hint = match (self.secret, *style) {
                    (true, _) | (false, ScalarStyle::Text) => "quote it".to_owned(),
                    (false, ScalarStyle::Plain) if account => {
                        format!(
                            "an account id is text: quote it (`\"{text}\"`), or its leading zeros are lost"
                        )
                    }
                    (false, ScalarStyle::Plain) => format!("quote it: `\"{}\"`", short(text)),
                };
                self.error(codes::NEEDS_QUOTES, message, Some(&hint), findings);
                None
            }
        }
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self, findings: &mut Findings<'_>) -> Option<bool> {
        match &self.node.value {
            NodeValue::Scalar { scalar: Scalar::Bool(value), .. } => Some(*value),
            NodeValue::Scalar { .. } | NodeValue::List(_) | NodeValue::Map(_) => {
                let hint = match self.node.text() {
                    Some("true" | "false") => "remove the quotes",
                    Some(_) | None => "write `true` or `false`",
                };
                self.wrong("`true` or `false`", hint, findings);
                None
            }
        }
    }

    /// A boolean or a word for one.
    pub(super) fn boolean_word(&self, findings: &mut Findings<'_>) -> Option<bool> {
        let NodeValue::Scalar { scalar, .. } = &self.node.value else {
            return self.boolean(findings);
        };
        match scalar {
            Scalar::Bool(value) => return Some(*value),
            Scalar::String(text) => {
                let text = text.to_lowercase();
                if TRUE_WORDS.contains(&text.as_str()) {
                    return Some(true);
                }
                if FALSE_WORDS.contains(&text.as_str()) {
                    return Some(false);
                }
                let message =
                    format!("`{}` must be `true` or `false`, not {}", self.name(), self.shown());
                let hint = "write one of them: tctl would silently read it as `false`";
                self.error(codes::BAD_WORD, message, Some(hint), findings);
            }
            Scalar::Null | Scalar::Int(_) | Scalar::Float(_) => {
                self.wrong("`true` or `false`", "write one of them, without quotes", findings);
            }
        }
        None
    }

    /// A whole number between bounds.
    pub(super) fn integer(&self, min: i64, max: i64, findings: &mut Findings<'_>) -> Option<i64> {
        let NodeValue::Scalar { scalar, .. } = &self.node.value else {
            self.wrong("a whole number", "write it in digits, without quotes", findings);
            return None;
        };
        let value = match scalar {
            Scalar::Int(value) => *value,
            // `018` and `1e3` are floats to YAML but whole to JSON.
            #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
            Scalar::Float(value) if value.fract() == 0.0 && value.abs() < 9e15 => *value as i64,
            Scalar::Float(value) if value.fract() == 0.0 => {
                self.out_of_range(min, max, findings);
                return None;
            }
            Scalar::Null | Scalar::Bool(_) | Scalar::Float(_) | Scalar::String(_) => {
                self.wrong("a whole number", "write it in digits, without quotes", findings);
                return None;
            }
        };
        if (min..=max).contains(&value) {
            return Some(value);
        }
        self.out_of_range(min, max, findings);
        None
    }

    fn out_of_range(&self, min: i64, max: i64, findings: &mut Findings<'_>) {
        let message =
            format!("`{}` must be between {min} and {max}, not {}", self.name(), self.shown());
        self.error(codes::OUT_OF_RANGE, message, Some("use a number in that range"), findings);
    }

    /// Standard base64, without its line breaks; a list of bytes is what Go accepts too.
    pub(super) fn bytes(&self, findings: &mut Findings<'_>) -> Option<String> {
        if let NodeValue::List(items) = &self.node.value {
            let byte = |item: &Node| match &item.value {
                NodeValue::Scalar { scalar: Scalar::Int(byte), .. } => u8::try_from(*byte).ok(),
                NodeValue::Scalar { .. } | NodeValue::List(_) | NodeValue::Map(_) => None,
            };
            let Some(bytes) = items.iter().map(byte).collect::<Option<Vec<u8>>>() else {
                self.wrong("base64 text", "encode the content with `base64`", findings);
                return None;
            };
            return Some(STANDARD.encode(bytes));
        }
        let text = self.text(findings)?;
        let packed: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
        if STANDARD.decode(&packed).is_ok() {
            return Some(packed);
        }
        let hint = if packed.contains(':') {
            "this looks like the content itself: encode it with `base64`"
        } else if packed.contains(' ') {
            "there are spaces in it: begin the block with `|`, not `>`"
        } else if packed.contains(['-', '_']) {
            "this is the URL-safe alphabet: encode it with `base64`"
        } else {
            "encode it with `base64`, padding (`=`) included"
        };
        let message = format!("`{}` is not valid base64", self.name());
        self.error(codes::BAD_BASE64, message, Some(hint), findings);
        None
    }

    /// A duration, as Go writes it.
    pub(super) fn duration(&self, findings: &mut Findings<'_>) -> Option<String> {
        let NodeValue::Scalar { scalar: Scalar::String(text), .. } = &self.node.value else {
            let hint = match self.node.text() {
                Some(number)
                    if number.bytes().all(|b| b.is_ascii_digit()) && !number.is_empty() =>
                {
                    format!(
                        "add a unit: `{}s`, `{}m` or `{}h`",
                        short(number),
                        short(number),
                        short(number)
                    )
                }
                Some(_) | None => "write it like `30s`, `1h30m` or `24h`".to_owned(),
            };
            let message = format!("`{}` must be a duration, not {}", self.name(), self.kind_of());
            self.error(codes::BAD_DURATION, message, Some(&hint), findings);
            return None;
        };
        if let Ok(nanoseconds) = duration::parse(text) {
            return Some(duration::show(nanoseconds));
        }
        let message = format!("{} is not a duration", self.shown());
        let hint = "write it like `30s`, `1h30m` or `24h`";
        self.error(codes::BAD_DURATION, message, Some(hint), findings);
        None
    }

    /// A time in UTC.
    pub(super) fn timestamp(&self, findings: &mut Findings<'_>) -> Option<String> {
        let text = match &self.node.value {
            NodeValue::Scalar { scalar: Scalar::String(text), .. } => &**text,
            NodeValue::Scalar { .. } | NodeValue::List(_) | NodeValue::Map(_) => "",
        };
        if is_rfc3339(text)
            && let Ok(at) = text.parse::<jiff::Timestamp>()
        {
            return Some(at.to_string());
        }
        let message = format!("{} is not a time", self.shown());
        let hint = "write it in RFC 3339, like `2030-01-01T00:00:00Z`";
        self.error(codes::BAD_TIMESTAMP, message, Some(hint), findings);
        None
    }

    /// One of the words; the first of those that mean the same is kept.
    pub(super) fn word(
        &self,
        words: &[(String, i32)],
        findings: &mut Findings<'_>,
    ) -> Option<String> {
        let find = |word: &str| words.iter().find(|(known, _)| known == word).map(|(_, n)| *n);
        let number = match &self.node.value {
            NodeValue::Scalar { scalar: Scalar::String(text), .. } => find(text),
            // `off` without quotes is the boolean false, and Teleport knows it.
            NodeValue::Scalar { scalar: Scalar::Bool(true), .. } => {
                find("true").or_else(|| find("yes")).or_else(|| find("on"))
            }
            NodeValue::Scalar { scalar: Scalar::Bool(false), .. } => {
                find("false").or_else(|| find("no")).or_else(|| find("off"))
            }
            NodeValue::Scalar { scalar: Scalar::Int(number), .. } => {
                words.iter().map(|(_, n)| *n).find(|known| i64::from(*known) == *number)
            }
            NodeValue::Scalar { scalar: Scalar::Null | Scalar::Float(_), .. }
            | NodeValue::List(_)
            | NodeValue::Map(_) => None,
        };
        let word = number.and_then(|number| words.iter().find(|(_, known)| *known == number));
        if let Some((word, _)) = word {
            return Some(word.clone());
        }
        let known: Vec<&str> =
            words.iter().map(|(word, _)| word.as_str()).filter(|word| !word.is_empty()).collect();
        let near = self.node.text().and_then(|text| nearest(text, known.iter().copied()));
        let hint = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("allowed values: {}", list(&known)),
        };
        let message = format!("`{}` cannot be {}", self.name(), self.shown());
        self.error(codes::BAD_WORD, message, Some(&hint), findings);
        None
    }
}

/// A remedy for a lone value where a list is wanted.
pub(super) fn as_list_hint(at: &At<'_>) -> String {
    match &at.node.value {
        NodeValue::Scalar { text, .. } if !at.secret && text.len() <= SHOWN_MAX => {
            format!("write `[{text}]`")
        }
        NodeValue::Scalar { .. } | NodeValue::List(_) | NodeValue::Map(_) => {
            "write its items below it, each after `- `".into()
        }
    }
}

/// What YAML made of a scalar, in words.
fn meaning(scalar: &Scalar, secret: bool) -> String {
    match scalar {
        Scalar::Null => "nothing".into(),
        Scalar::Bool(value) => format!("the boolean `{value}`"),
        Scalar::Int(value) if !secret => format!("the number {value}"),
        Scalar::Float(value) if !secret => format!("the number {value}"),
        Scalar::Int(_) | Scalar::Float(_) => "a number".into(),
        Scalar::String(_) => "text".into(),
    }
}

/// Most characters of a value in a message.
pub(super) const SHOWN_MAX: usize = 60;

/// The beginning of a long text, on one line.
pub(super) fn short(text: &str) -> String {
    let line: String = text.chars().take_while(|c| *c != '\n').take(SHOWN_MAX).collect();
    if line.len() == text.len() { line } else { format!("{line}…") }
}

/// The form that Go demands: date, `T`, time with seconds, zone.
fn is_rfc3339(text: &str) -> bool {
    let mask = |c: char| if c.is_ascii_digit() { '0' } else { c };
    let masked: String = text.chars().map(mask).collect();
    let Some(rest) = masked.strip_prefix("0000-00-00T00:00:00") else { return false };
    let rest = match rest.strip_prefix(['.', ',']) {
        Some(fraction) if fraction.starts_with('0') => fraction.trim_start_matches('0'),
        Some(_) => return false,
        None => rest,
    };
    matches!(rest, "Z" | "+00:00" | "-00:00")
}
