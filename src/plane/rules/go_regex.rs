//! Go's dialect of regular expressions, put into that of the `regex` crate.
//!
//! Both are automata over the same core. They differ in what `\d`, `\w`, `\s` and `\b` mean
//! (ASCII in Go), in braces that are no repetition (plain text in Go), in `\Q…\E`, in flags, in
//! what may be repeated and how often, and in set operations within classes, which Go does not
//! have. So every token is read by Go's rules and written anew; each character is read once.

use std::str::Chars;

use regex::Regex;

use super::go_regex_class as class;

/// The largest compiled expression, in bytes: beyond it an expression matches nothing.
const SIZE_MAX: usize = 1 << 20;

/// The longest expression that is looked at, in bytes: longer ones are no label's.
const LENGTH_MAX: usize = 4096;

/// Go refuses larger counts of repetition, also as the product of nested ones.
const REPEAT_MAX: u32 = 1000;

/// Go refuses deeper nesting.
const DEPTH_MAX: usize = 1000;

/// Compiles an expression of Go; none if Go's syntax (or the size) does not allow it.
pub(super) fn compile(expression: &str) -> Option<Regex> {
    if expression.len() > LENGTH_MAX {
        return None;
    }
    let translated = Translation::of(expression)?;
    regex::RegexBuilder::new(&translated).size_limit(SIZE_MAX).build().ok()
}

/// Whether Go's syntax allows the expression, of whatever size.
pub(super) fn is_valid(expression: &str) -> bool {
    let depth = u32::try_from(DEPTH_MAX).unwrap_or(u32::MAX);
    let mut parser = regex_syntax::ParserBuilder::new().nest_limit(depth).build();
    Translation::of(expression).is_some_and(|translated| parser.parse(&translated).is_ok())
}

/// What stands last and could be repeated.
#[derive(Debug, Clone, Copy)]
struct Atom {
    /// Where it begins in what was written.
    start: usize,
    /// The greatest product of the counts of nested repetitions.
    product: u32,
    /// It is a repetition itself.
    repeated: bool,
}

/// An open group.
#[derive(Debug, Clone, Copy)]
struct Group {
    start: usize,
    product: u32,
}

struct Translation<'a> {
    rest: Chars<'a>,
    out: String,
    atom: Option<Atom>,
    groups: Vec<Group>,
    /// The greatest product in the open group so far.
    product: u32,
    /// The last token was a repetition, which Go does not repeat again.
    repeated: bool,
    /// Changes of flags that are not yet written: Go repeats what stands before them.
    flags: String,
}

impl Translation<'_> {
    fn of(expression: &str) -> Option<String> {
        let mut it = Translation {
            rest: expression.chars(),
            out: String::with_capacity(expression.len()),
            atom: None,
            groups: Vec::new(),
            product: 1,
            repeated: false,
            flags: String::new(),
        };
        while let Some(next) = it.rest.next() {
            it.token(next)?;
        }
        it.groups.is_empty().then_some(it.out)
    }

    fn token(&mut self, next: char) -> Option<()> {
        let repeated = std::mem::take(&mut self.repeated);
        match next {
            '*' | '+' => self.repeat(&next.to_string(), None, repeated),
            '?' => self.repeat("?", None, repeated),
            '{' => {
                if let Some((text, low, high)) = self.counts()? {
                    return self.repeat(&text, Some((low, high)), repeated);
                }
                self.literal('{');
                Some(())
            }
            '\\' => self.escape(),
            '[' => {
                let class = class::read(&mut self.rest)?;
                self.write(&class);
                Some(())
            }
            '(' => self.open(),
            ')' => self.close(),
            '|' => {
                self.settle();
                self.out.push('|');
                self.atom = None;
                Some(())
            }
            '^' | '$' | '.' => {
                self.write(next.encode_utf8(&mut [0; 4]));
                Some(())
            }
            other => {
                self.literal(other);
                Some(())
            }
        }
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.rest.as_str().starts_with(wanted);
        if found {
            self.rest.next();
        }
        found
    }

    /// Writes the flags that are waiting, before something that is no repetition.
    fn settle(&mut self) {
        self.out.push_str(&std::mem::take(&mut self.flags));
    }

    /// Writes something that can be repeated.
    fn write(&mut self, text: &str) {
        self.settle();
        self.atom = Some(Atom { start: self.out.len(), product: 1, repeated: false });
        self.out.push_str(text);
    }

    fn literal(&mut self, it: char) {
        self.settle();
        self.atom = Some(Atom { start: self.out.len(), product: 1, repeated: false });
        // Before an angle bracket a backslash would mean the edge of a word.
        if it.is_ascii_punctuation() && !"<>".contains(it) {
            self.out.push('\\');
        }
        self.out.push(it);
    }

    /// Writes a repetition of the last atom, with the mark of a lazy one.
    fn repeat(
        &mut self,
        operator: &str,
        counts: Option<(u32, Option<u32>)>,
        repeated: bool,
    ) -> Option<()> {
        let lazy = self.eat('?');
        let mut atom = self.atom?;
        if repeated {
            return None;
        }
        if let Some((low, high)) = counts {
            let times = high.unwrap_or(low);
            atom.product = match (times, high) {
                (0, Some(_)) => 1,
                (0, None) => atom.product,
                (times, _) => atom.product.checked_mul(times)?,
            };
            if times > 1 && atom.product > REPEAT_MAX {
                return None;
            }
        }
        // A change of flags, or an empty quotation, lets Go repeat again what is repeated already.
        if atom.repeated {
            self.out.insert_str(atom.start, "(?:");
            self.out.push(')');
        }
        atom.repeated = true;
        self.out.push_str(operator);
        if lazy {
            self.out.push('?');
        }
        self.atom = Some(atom);
        self.product = self.product.max(atom.product);
        self.repeated = true;
        Some(())
    }

    /// `{n}`, `{n,}` and `{n,m}`: as written, and both numbers. Any other brace is itself; the
    /// outer none is for numbers that Go refuses.
    #[expect(clippy::option_option, reason = "refused, no repetition, and one are three things")]
    fn counts(&mut self) -> Option<Option<(String, u32, Option<u32>)>> {
        let mut ahead = self.rest.clone();
        let Some(low) = number(&mut ahead) else { return Some(None) };
        let mut high = Some(low);
        if ahead.as_str().starts_with(',') {
            ahead.next();
            high = if ahead.as_str().starts_with('}') {
                None
            } else if let Some(number) = number(&mut ahead) {
                Some(number)
            } else {
                return Some(None);
            };
        }
        if ahead.next() != Some('}') {
            return Some(None);
        }
        if low.max(high.unwrap_or(0)) > REPEAT_MAX || high.is_some_and(|high| high < low) {
            return None;
        }
        self.rest = ahead;
        let text = match high {
            Some(high) => format!("{{{low},{high}}}"),
            None => format!("{{{low},}}"),
        };
        Some(Some((text, low, high)))
    }

    /// The beginning of a group, or a change of flags.
    fn open(&mut self) -> Option<()> {
        if !self.eat('?') {
            return self.begin("(");
        }
        let text = self.rest.as_str();
        if let Some(named) = text.strip_prefix("P<").or_else(|| text.strip_prefix('<')) {
            let (name, rest) = named.split_once('>')?;
            let known = |it: u8| it.is_ascii_alphanumeric() || it == b'_';
            if name.is_empty() || !name.bytes().all(known) {
                return None;
            }
            self.rest = rest.chars();
            // Without the name, which matches nothing: Go takes the same twice.
            return self.begin("(");
        }
        let (mut on, mut off) = (String::new(), String::new());
        let mut negative = false;
        loop {
            match self.rest.next()? {
                flag @ ('i' | 'm' | 's' | 'U') => {
                    let of = if negative { &mut off } else { &mut on };
                    if !of.contains(flag) {
                        of.push(flag);
                    }
                }
                '-' if !negative => negative = true,
                end @ (':' | ')') => {
                    if negative && off.is_empty() {
                        return None;
                    }
                    on.retain(|flag| !off.contains(flag));
                    let minus = if negative { "-" } else { "" };
                    let flags = format!("(?{on}{minus}{off}");
                    if end == ':' {
                        return self.begin(&format!("{flags}:"));
                    }
                    if flags != "(?" {
                        self.flags.push_str(&flags);
                        self.flags.push(')');
                    }
                    return Some(());
                }
                _ => return None,
            }
        }
    }

    fn begin(&mut self, text: &str) -> Option<()> {
        self.settle();
        let product = std::mem::replace(&mut self.product, 1);
        self.groups.push(Group { start: self.out.len(), product });
        self.out.push_str(text);
        self.atom = None;
        (self.groups.len() <= DEPTH_MAX).then_some(())
    }

    fn close(&mut self) -> Option<()> {
        // Flags end with their group.
        self.flags.clear();
        let group = self.groups.pop()?;
        self.out.push(')');
        self.atom = Some(Atom { start: group.start, product: self.product, repeated: false });
        self.product = self.product.max(group.product);
        Some(())
    }

    /// What follows a backslash.
    fn escape(&mut self) -> Option<()> {
        match self.rest.clone().next()? {
            'Q' => {
                self.rest.next();
                self.quotation();
                return Some(());
            }
            edge @ ('A' | 'z') => {
                self.rest.next();
                self.write(&format!("\\{edge}"));
                return Some(());
            }
            edge @ ('b' | 'B') => {
                self.rest.next();
                self.write(&format!("(?-u:\\{edge})"));
                return Some(());
            }
            _ => {}
        }
        if let Some(set) = class::set(&mut self.rest)? {
            self.write(&format!("[{set}]"));
        } else {
            let code = class::character(&mut self.rest)?;
            self.write(&format!("[{}]", class::span(code, code)));
        }
        Some(())
    }

    /// Plain text until `\E` or the end.
    fn quotation(&mut self) {
        while let Some(next) = self.rest.next() {
            if next == '\\' && self.eat('E') {
                return;
            }
            self.literal(next);
        }
    }
}

/// A number by Go's rule: with a zero before it, it is none. Too large ones are some large one.
fn number(rest: &mut Chars<'_>) -> Option<u32> {
    let text = rest.as_str();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, after) = text.split_at_checked(digits)?;
    if number.is_empty() || (number.len() > 1 && number.starts_with('0')) {
        return None;
    }
    *rest = after.chars();
    Some(number.parse().unwrap_or(u32::MAX))
}
