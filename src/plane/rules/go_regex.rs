//! Go's dialect of regular expressions, put into that of the `regex` crate.
//!
//! Both are automata over the same core. They differ in what `\d`, `\w`, `\s` and `\b` mean
//! (ASCII in Go), in braces that are no repetition (plain text in Go), in `\Q…\E`, and in set
//! operations within classes, which Go does not have.

use regex::Regex;

/// The largest compiled expression, in bytes: beyond it an expression matches nothing.
const SIZE_MAX: usize = 1 << 20;

/// The longest expression that is looked at, in bytes: longer ones are no label's.
const LENGTH_MAX: usize = 4096;

/// Go refuses larger counts of repetition.
const REPEAT_MAX: u32 = 1000;

/// Compiles an expression of Go; none if Go's syntax (or the size) does not allow it.
pub(super) fn compile(expression: &str) -> Option<Regex> {
    if expression.len() > LENGTH_MAX {
        return None;
    }
    let translated = Translation::of(expression)?;
    regex::RegexBuilder::new(&translated).size_limit(SIZE_MAX).build().ok()
}

struct Translation<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    out: String,
    /// What was written last is a repetition, which Go does not repeat again.
    repeated: bool,
}

impl Translation<'_> {
    fn of(expression: &str) -> Option<String> {
        let rest = expression.chars().peekable();
        let out = String::with_capacity(expression.len());
        let mut it = Translation { rest, out, repeated: false };
        while let Some(next) = it.rest.next() {
            let repeated = std::mem::take(&mut it.repeated);
            match next {
                '\\' => it.escape(false)?,
                '[' => it.class()?,
                '{' => it.brace()?,
                '*' | '+' | '?' => it.repeat(next.encode_utf8(&mut [0; 4])),
                '(' => it.group()?,
                '}' => it.text("\\}"),
                other => it.out.push(other),
            }
            if repeated && it.repeated {
                return None;
            }
        }
        Some(it.out)
    }

    /// A repetition, with the mark of a lazy one.
    fn repeat(&mut self, operator: &str) {
        self.repeated = true;
        self.text(operator);
        if self.rest.next_if_eq(&'?').is_some() {
            self.out.push('?');
        }
    }

    /// The beginning of a group: Go knows fewer flags.
    fn group(&mut self) -> Option<()> {
        self.out.push('(');
        if self.rest.next_if_eq(&'?').is_none() {
            return Some(());
        }
        self.out.push('?');
        let mut flags = self.rest.clone().take_while(|it| !":)<".contains(*it)).peekable();
        let named = flags.peek().is_none_or(|first| *first == 'P');
        (named || flags.all(|it| "imsU-".contains(it))).then_some(())
    }

    /// What follows a backslash.
    fn escape(&mut self, in_class: bool) -> Option<()> {
        let next = self.rest.next()?;
        match next {
            'd' if in_class => self.text("0-9"),
            'w' if in_class => self.text("0-9A-Za-z_"),
            's' if in_class => self.text("\\t\\n\\f\\r "),
            'd' => self.text("[0-9]"),
            'w' => self.text("[0-9A-Za-z_]"),
            's' => self.text("[\\t\\n\\f\\r ]"),
            'D' => self.text("[^0-9]"),
            'W' => self.text("[^0-9A-Za-z_]"),
            'S' => self.text("[^\\t\\n\\f\\r ]"),
            'b' if !in_class => self.text("(?-u:\\b)"),
            'B' if !in_class => self.text("(?-u:\\B)"),
            'Q' if !in_class => self.quotation(),
            '0'..='7' => self.octal(next)?,
            'A' | 'z' if in_class => return None,
            'a' | 'f' | 't' | 'n' | 'r' | 'v' | 'A' | 'z' => self.out.extend(['\\', next]),
            'x' | 'p' | 'P' => {
                self.out.extend(['\\', next]);
                self.braced();
            }
            // Any other letter means nothing to Go, which refuses it.
            other if other.is_ascii_punctuation() => self.literal(other),
            _ => return None,
        }
        Some(())
    }

    /// Copies `{…}`, if that comes next.
    fn braced(&mut self) {
        if self.rest.peek() != Some(&'{') {
            return;
        }
        for next in self.rest.by_ref() {
            self.out.push(next);
            if next == '}' {
                return;
            }
        }
    }

    fn text(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn literal(&mut self, it: char) {
        // Before an angle bracket a backslash would mean the edge of a word.
        if it.is_ascii_punctuation() && !"<>".contains(it) {
            self.out.push('\\');
        }
        self.out.push(it);
    }

    /// Up to three octal digits; a single one other than zero would be a back reference.
    fn octal(&mut self, first: char) -> Option<()> {
        let mut value = first.to_digit(8)?;
        let more = self.rest.peek().is_some_and(|it| it.is_digit(8));
        if first != '0' && !more {
            return None;
        }
        for _ in 0..2 {
            let Some(digit) = self.rest.peek().and_then(|it| it.to_digit(8)) else { break };
            value = value * 8 + digit;
            self.rest.next();
        }
        self.text(&format!("\\x{{{value:x}}}"));
        Some(())
    }

    /// Plain text until `\E` or the end.
    fn quotation(&mut self) {
        while let Some(next) = self.rest.next() {
            if next == '\\' && self.rest.peek() == Some(&'E') {
                self.rest.next();
                return;
            }
            self.literal(next);
        }
    }

    /// `{n}`, `{n,}` and `{n,m}` repeat; any other brace is itself.
    fn brace(&mut self) -> Option<()> {
        let mut ahead = self.rest.clone();
        let inside: String = ahead.by_ref().take_while(|it| *it != '}').collect();
        let whole = self.rest.clone().any(|it| it == '}');
        let (low, high) = inside.split_once(',').unwrap_or((&inside, &inside));
        let digits = |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit());
        let repeats = whole && digits(low) && (high.is_empty() || digits(high));
        if !repeats {
            self.text("\\{");
            return Some(());
        }
        for count in [low, high].into_iter().filter(|it| !it.is_empty()) {
            count.parse::<u32>().ok().filter(|it| *it <= REPEAT_MAX)?;
        }
        self.rest = ahead;
        self.repeat(&format!("{{{inside}}}"));
        Some(())
    }

    /// A bracketed class: set operations and inner brackets are plain text to Go.
    fn class(&mut self) -> Option<()> {
        self.out.push('[');
        if self.rest.next_if_eq(&'^').is_some() {
            self.out.push('^');
        }
        let mut first = true;
        loop {
            match self.rest.next()? {
                ']' if !first => break,
                '\\' => self.escape(true)?,
                '[' if self.names_class() => self.named_class()?,
                '-' => self.out.push('-'),
                other => self.literal(other),
            }
            first = false;
            // Two in a row would be an operation.
            if self.out.ends_with('-') && self.rest.peek() == Some(&'-') {
                self.rest.next();
                self.out.push_str("\\-");
            }
        }
        self.out.push(']');
        Some(())
    }

    /// Whether `[:NAME:]` begins here.
    fn names_class(&self) -> bool {
        let ahead: String = self.rest.clone().collect();
        ahead.starts_with(':') && ahead.get(1..).is_some_and(|it| it.contains(":]"))
    }

    fn named_class(&mut self) -> Option<()> {
        self.out.push('[');
        loop {
            let next = self.rest.next()?;
            self.out.push(next);
            if next == ']' {
                return Some(());
            }
        }
    }
}
