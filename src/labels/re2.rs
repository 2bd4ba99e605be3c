//! Regular expressions as Go's `regexp` reads them, for an engine that reads others.
//!
//! Go takes RE2's syntax with Perl's additions; the `regex` crate takes nearly the same, and the
//! differences are silent (`\d` is ASCII in one and Unicode in the other, `a++`, `[a&&b]`, `(?x)`
//! and `\u0041` mean something in one only). So an expression is read here by Go's grammar, piece
//! by piece, and written again in words that mean the same to the engine and cannot mean
//! anything else: every character as its number, every class as its ranges. What Go refuses is
//! refused. Only whether a text matches is kept: groups, names and greediness are not.
//!
//! Choices: names of Unicode classes are those of Go 1.24 (later versions take more spellings);
//! groups nest [`DEPTH_MAX`] deep where Go takes a thousand.

use regex::{Regex, RegexBuilder};

use super::re2_class;

/// Groups inside groups. Go's limit is a thousand levels of its own tree; ours is what the engine
/// takes without a deep stack.
const DEPTH_MAX: usize = 60;

/// Largest count of a repetition, and largest product of counts inside each other. Go's.
const REPEAT_MAX: u32 = 1000;

/// Memory of one compiled expression, in bytes. Go's limit is 128 MB for its own form.
const SIZE_MAX: usize = 32 * 1024 * 1024;

/// An expression that was understood.
#[derive(Debug, Clone)]
pub(super) struct Expression {
    /// The engine's form.
    pub(super) regex: Regex,
    /// Whether each alternative is held at both ends, so that only a whole value matches.
    pub(super) whole: bool,
    /// Whether it has several alternatives outside of any group.
    pub(super) alternatives: bool,
}

/// Reads an expression.
///
/// # Errors
/// Why Go refuses it, or that it is too large for us; a lower-case fragment.
pub(super) fn compile(text: &str) -> Result<Expression, String> {
    let parsed = Parser::new(text).parse()?;
    let regex = RegexBuilder::new(&parsed.text)
        .size_limit(SIZE_MAX)
        .build()
        .map_err(|_| format!("needs more than {} MiB", SIZE_MAX / 1024 / 1024))?;
    Ok(Expression { regex, whole: parsed.whole, alternatives: parsed.alternatives })
}

struct Parsed {
    text: String,
    whole: bool,
    alternatives: bool,
}

/// `(?ims)`; `U` turns greediness around, which does not change whether a text matches.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct Flags {
    fold: bool,
    lines: bool,
    newline: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Edge {
    Begin,
    End,
    Neither,
}

/// What a repetition applies to.
struct Atom {
    text: String,
    /// Largest product of counts on a way through it.
    weight: u32,
    edge: Edge,
}

/// A group that is not closed yet; the outermost is the expression itself.
struct Group {
    /// In force before it.
    flags: Flags,
    /// Finished alternatives, joined by `|`.
    text: String,
    alternatives: usize,
    weight: u32,
    whole: bool,
    /// Of the alternative at hand.
    atoms: Vec<Atom>,
}

impl Group {
    fn new(flags: Flags) -> Self {
        let (text, atoms) = (String::new(), Vec::new());
        Self { flags, text, alternatives: 0, weight: 1, whole: true, atoms }
    }

    fn end_alternative(&mut self) {
        if self.alternatives > 0 {
            self.text.push('|');
        }
        self.alternatives += 1;
        let edge = |atom: Option<&Atom>| atom.map_or(Edge::Neither, |atom| atom.edge);
        self.whole &=
            edge(self.atoms.first()) == Edge::Begin && edge(self.atoms.last()) == Edge::End;
        for atom in self.atoms.drain(..) {
            self.text.push_str(&atom.text);
            self.weight = self.weight.max(atom.weight);
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
    flags: Flags,
    outer: Vec<Group>,
    group: Group,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        let flags = Flags::default();
        Self { rest: text, flags, outer: Vec::new(), group: Group::new(flags) }
    }

    fn parse(mut self) -> Result<Parsed, String> {
        let mut repeated = false;
        while let Some(c) = next(&mut self.rest) {
            let was_repeated = std::mem::take(&mut repeated);
            match c {
                '(' => self.open()?,
                ')' => self.close()?,
                '|' => self.group.end_alternative(),
                '^' if self.flags.lines => self.push("(?m:^)".to_owned()),
                '^' => self.edge(r"\A", Edge::Begin),
                '$' if self.flags.lines => self.push("(?m:$)".to_owned()),
                '$' => self.edge(r"\z", Edge::End),
                '.' if self.flags.newline => self.push("(?s:.)".to_owned()),
                '.' => self.push("(?-s:.)".to_owned()),
                '[' => self.class()?,
                '\\' => self.escape()?,
                '*' | '+' | '?' => {
                    self.repeat(&c.to_string(), 1, was_repeated)?;
                    repeated = true;
                }
                '{' => match counts(self.rest) {
                    Some((count, rest)) => {
                        self.rest = rest;
                        let (text, times) = count?;
                        self.repeat(&text, times, was_repeated)?;
                        repeated = true;
                    }
                    None => self.literal('{'),
                },
                c => self.literal(c),
            }
        }
        if !self.outer.is_empty() {
            return Err("a `(` is not closed".to_owned());
        }
        self.group.end_alternative();
        let Group { text, whole, alternatives, .. } = self.group;
        Ok(Parsed { text, whole, alternatives: alternatives > 1 })
    }

    fn push(&mut self, text: String) {
        self.group.atoms.push(Atom { text, weight: 1, edge: Edge::Neither });
    }

    fn edge(&mut self, text: &str, edge: Edge) {
        self.group.atoms.push(Atom { text: text.to_owned(), weight: 1, edge });
    }

    /// A character, or a class: whatever takes part in folding.
    fn folding(&mut self, text: &str) {
        self.push(if self.flags.fold { format!("(?i:{text})") } else { text.to_owned() });
    }

    fn literal(&mut self, c: char) {
        self.folding(&re2_class::number(u32::from(c)));
    }

    /// What begins with `(`.
    fn open(&mut self) -> Result<(), String> {
        let flags = self.flags;
        if let Some(rest) = self.rest.strip_prefix('?') {
            let named = rest.strip_prefix("P<").or_else(|| rest.strip_prefix('<'));
            if let Some(named) = named {
                let (name, rest) = named.split_once('>').ok_or("a group's name is not closed")?;
                let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
                if name.is_empty() || !name.chars().all(good) {
                    return Err("a group's name takes letters, digits and `_`".to_owned());
                }
                self.rest = rest;
            } else if !self.set_flags(rest)? {
                return Ok(());
            }
        }
        let group = std::mem::replace(&mut self.group, Group::new(flags));
        self.outer.push(group);
        if self.outer.len() > DEPTH_MAX {
            return Err(format!("groups nest more than {DEPTH_MAX} deep"));
        }
        Ok(())
    }

    /// What follows `(?`; true if it opens a group.
    fn set_flags(&mut self, mut rest: &'a str) -> Result<bool, String> {
        let wrong = || "`(?` is followed by nothing that Go knows".to_owned();
        let mut on = true;
        let mut empty_negation = false;
        let mut flags = self.flags;
        loop {
            match next(&mut rest).ok_or_else(wrong)? {
                'i' => flags.fold = on,
                'm' => flags.lines = on,
                's' => flags.newline = on,
                'U' => {}
                '-' if on => {
                    on = false;
                    empty_negation = true;
                    continue;
                }
                end @ (':' | ')') if !empty_negation => {
                    (self.rest, self.flags) = (rest, flags);
                    return Ok(end == ':');
                }
                _ => return Err(wrong()),
            }
            empty_negation = false;
        }
    }

    fn close(&mut self) -> Result<(), String> {
        let outer = self.outer.pop().ok_or("a `)` closes nothing")?;
        let mut group = std::mem::replace(&mut self.group, outer);
        group.end_alternative();
        self.flags = group.flags;
        let text = format!("(?:{})", group.text);
        self.group.atoms.push(Atom { text, weight: group.weight, edge: Edge::Neither });
        Ok(())
    }

    fn repeat(&mut self, sign: &str, times: u32, again: bool) -> Result<(), String> {
        // Lazy or not: the same texts match.
        self.rest = self.rest.strip_prefix('?').unwrap_or(self.rest);
        if again {
            return Err(format!("`{sign}` follows another repetition"));
        }
        let atom = self.group.atoms.last_mut();
        let atom = atom.ok_or_else(|| format!("`{sign}` has nothing to repeat"))?;
        // `{0}` cuts the way to what is inside.
        let weight = if times == 0 { 1 } else { times.saturating_mul(atom.weight) };
        if times > 1 && weight > REPEAT_MAX {
            return Err(format!("repeats more than {REPEAT_MAX} times"));
        }
        *atom = Atom { text: format!("(?:{}){sign}", atom.text), weight, edge: Edge::Neither };
        Ok(())
    }

    fn class(&mut self) -> Result<(), String> {
        let (text, rest) = re2_class::brackets(self.rest)?;
        self.rest = rest;
        self.folding(&text);
        Ok(())
    }

    /// What begins with `\`.
    fn escape(&mut self) -> Result<(), String> {
        let simple = match self.rest.chars().next() {
            Some('A') => Some(r"\A"),
            Some('z') => Some(r"\z"),
            Some('b') => Some(r"(?-u:\b)"),
            Some('B') => Some(r"(?-u:\B)"),
            Some('Q') => {
                next(&mut self.rest);
                let (quoted, rest) = self.rest.split_once(r"\E").unwrap_or((self.rest, ""));
                self.rest = rest;
                quoted.chars().for_each(|c| self.literal(c));
                return Ok(());
            }
            Some(_) | None => None,
        };
        if let Some(text) = simple {
            let edge = match text {
                r"\A" => Edge::Begin,
                r"\z" => Edge::End,
                _ => Edge::Neither,
            };
            next(&mut self.rest);
            self.edge(text, edge);
            return Ok(());
        }
        if let Some((text, rest)) = re2_class::escaped(self.rest)? {
            self.rest = rest;
            self.folding(&format!("[{text}]"));
            return Ok(());
        }
        let (c, rest) = re2_class::character(self.rest)?;
        self.rest = rest;
        self.folding(&re2_class::number(c));
        Ok(())
    }
}

fn next(rest: &mut &str) -> Option<char> {
    let mut chars = rest.chars();
    let c = chars.next()?;
    *rest = chars.as_str();
    Some(c)
}

type Count = Result<(String, u32), String>;

/// What follows `{`: the repetition and how often at most; absent if the brace is a character.
fn counts(text: &str) -> Option<(Count, &str)> {
    let (least, rest) = digits(text)?;
    let (sign, least, most, rest) = if let Some(rest) = rest.strip_prefix('}') {
        (format!("{{{least}}}"), least, Some(least), rest)
    } else {
        let rest = rest.strip_prefix(',')?;
        if let Some(rest) = rest.strip_prefix('}') {
            (format!("{{{least},}}"), least, None, rest)
        } else {
            let (most, rest) = digits(rest)?;
            (format!("{{{least},{most}}}"), least, Some(most), rest.strip_prefix('}')?)
        }
    };
    let largest = most.unwrap_or(least);
    if least > REPEAT_MAX || largest > REPEAT_MAX {
        return Some((Err(format!("`{sign}` repeats more than {REPEAT_MAX} times")), rest));
    }
    if least > largest {
        return Some((Err(format!("`{sign}` has its ends the wrong way round")), rest));
    }
    // `{0,}` is a star: it neither multiplies nor cuts.
    let times = if most.is_none() { largest.max(1) } else { largest };
    Some((Ok((sign, times)), rest))
}

/// A number without leading zeros; a large one counts as too large.
fn digits(text: &str) -> Option<(u32, &str)> {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let number = text.strip_suffix(rest)?;
    if number.is_empty() || (number.len() > 1 && number.starts_with('0')) {
        return None;
    }
    Some((number.parse().unwrap_or(u32::MAX), rest))
}
