//! Sets and single characters of Go's regular expressions, written for the `regex` crate.

use std::str::Chars;

/// The names between `[:` and `:]`.
const NAMES: &[&str] = &[
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

/// Nothing, as a part of a class.
const NONE: &str = "[^\\x{0}-\\x{10FFFF}]";

/// Codes that are no characters, which text never has.
const SURROGATES: std::ops::RangeInclusive<u32> = 0xD800..=0xDFFF;

/// The greatest code.
const CODE_MAX: u32 = 0x10_FFFF;

/// Reads the rest of a bracketed class: set operations and inner brackets are plain text to Go.
pub(super) fn read(rest: &mut Chars<'_>) -> Option<String> {
    let mut out = String::from("[");
    if eat(rest, '^') {
        out.push('^');
    }
    let mut first = true;
    // Once none is found ahead, there is none further on.
    let mut may_name = true;
    while first || !eat(rest, ']') {
        first = false;
        if may_name && rest.as_str().starts_with("[:") {
            match named(rest)? {
                Some(class) => {
                    out.push_str(&class);
                    continue;
                }
                None => may_name = false,
            }
        }
        if rest.as_str().starts_with('\\') {
            let mut ahead = rest.clone();
            ahead.next();
            if let Some(class) = set(&mut ahead)? {
                *rest = ahead;
                out.push_str(&class);
                continue;
            }
        }
        let low = member(rest)?;
        let mut high = low;
        let mut ahead = rest.clone();
        if ahead.next() == Some('-') && ahead.as_str().chars().next().is_some_and(|it| it != ']') {
            *rest = ahead;
            high = member(rest)?;
        }
        if high < low {
            return None;
        }
        out.push_str(&span(low, high));
    }
    out.push(']');
    Some(out)
}

fn eat(rest: &mut Chars<'_>, wanted: char) -> bool {
    let found = rest.as_str().starts_with(wanted);
    if found {
        rest.next();
    }
    found
}

/// One character of a class, escaped or not.
fn member(rest: &mut Chars<'_>) -> Option<u32> {
    match rest.next()? {
        '\\' => character(rest),
        plain => Some(u32::from(plain)),
    }
}

/// `[:NAME:]`; the inner none: no such end stands ahead, so that the bracket is plain. The outer
/// none: an unknown name.
#[expect(clippy::option_option, reason = "refused, no name, and one are three things")]
fn named(rest: &mut Chars<'_>) -> Option<Option<String>> {
    let Some(inside) = rest.as_str().strip_prefix("[:") else { return Some(None) };
    let Some((name, after)) = inside.split_once(":]") else { return Some(None) };
    let (not, plain) = match name.strip_prefix('^') {
        Some(plain) => ("^", plain),
        None => ("", name),
    };
    if !NAMES.contains(&plain) {
        return None;
    }
    *rest = after.chars();
    Some(Some(format!("[:{not}{plain}:]")))
}

/// What a backslash and the next characters stand for, if it is a set: as a part of a class. The
/// outer none: Go refuses it.
#[expect(clippy::option_option, reason = "refused, no set, and one are three things")]
pub(super) fn set(rest: &mut Chars<'_>) -> Option<Option<String>> {
    let mut ahead = rest.clone();
    let found = match ahead.next()? {
        'd' => "0-9".to_owned(),
        'D' => "[^0-9]".to_owned(),
        'w' => "0-9A-Za-z_".to_owned(),
        'W' => "[^0-9A-Za-z_]".to_owned(),
        's' => "\\t\\n\\f\\r\\x20".to_owned(),
        'S' => "[^\\t\\n\\f\\r\\x20]".to_owned(),
        letter @ ('p' | 'P') => property(letter, &mut ahead)?,
        _ => return Some(None),
    };
    *rest = ahead;
    Some(Some(found))
}

/// `\pL`, `\p{Greek}`, `\p{^Greek}`. Names are spelled one way in Go; whether there is such a
/// property is for the crate to say.
fn property(letter: char, rest: &mut Chars<'_>) -> Option<String> {
    let first = rest.next()?;
    if first != '{' {
        return first.is_ascii_uppercase().then(|| format!("\\{letter}{{{first}}}"));
    }
    let (name, after) = rest.as_str().split_once('}')?;
    let (letter, plain) = match (name.strip_prefix('^'), letter) {
        (Some(plain), 'p') => ('P', plain),
        (Some(plain), _) => ('p', plain),
        (None, _) => (letter, name),
    };
    let known = |it: u8| it.is_ascii_alphabetic() || it == b'_';
    if !plain.starts_with(|it: char| it.is_ascii_uppercase()) || !plain.bytes().all(known) {
        return None;
    }
    *rest = after.chars();
    Some(format!("\\{letter}{{{plain}}}"))
}

/// The code of the character that follows a backslash.
pub(super) fn character(rest: &mut Chars<'_>) -> Option<u32> {
    let next = rest.next()?;
    match next {
        'a' => Some(7),
        't' => Some(9),
        'n' => Some(10),
        'v' => Some(11),
        'f' => Some(12),
        'r' => Some(13),
        'x' => hexadecimal(rest),
        '0'..='7' => octal(next, rest),
        // Any other letter or digit means nothing to Go, which refuses it.
        other => (other.is_ascii() && !other.is_ascii_alphanumeric()).then_some(u32::from(other)),
    }
}

/// Up to three octal digits; a single one other than zero would be a back reference.
fn octal(first: char, rest: &mut Chars<'_>) -> Option<u32> {
    let digit = |rest: &Chars<'_>| rest.clone().next().and_then(|it| it.to_digit(8));
    if first != '0' && digit(rest).is_none() {
        return None;
    }
    let mut value = first.to_digit(8)?;
    for _ in 0..2 {
        let Some(next) = digit(rest) else { break };
        value = value.checked_mul(8)?.checked_add(next)?;
        rest.next();
    }
    Some(value)
}

/// `\x7F` or `\x{10FFFF}`.
fn hexadecimal(rest: &mut Chars<'_>) -> Option<u32> {
    if !eat(rest, '{') {
        let high = rest.next()?.to_digit(16)?;
        return high.checked_mul(16)?.checked_add(rest.next()?.to_digit(16)?);
    }
    let mut value = rest.next()?.to_digit(16)?;
    while !eat(rest, '}') {
        value = value.checked_mul(16)?.checked_add(rest.next()?.to_digit(16)?)?;
        if value > CODE_MAX {
            return None;
        }
    }
    Some(value)
}

/// The characters from one code to another, as a part of a class.
pub(super) fn span(low: u32, high: u32) -> String {
    let low = if SURROGATES.contains(&low) { SURROGATES.end().saturating_add(1) } else { low };
    let high = if SURROGATES.contains(&high) { SURROGATES.start().saturating_sub(1) } else { high };
    if low > high { NONE.to_owned() } else { format!("\\x{{{low:x}}}-\\x{{{high:x}}}") }
}
