//! The common mistakes in a regular expression.
//!
//! Not a parser: what passes here may still be refused by the server, which reads RE2's syntax.
//! But nothing is refused here that the server takes. Every character is looked at once.

/// Highest count of a repetition, `a{1000}`, in RE2.
const REPEAT_MAX: u32 = 1000;

/// Finds what RE2 is sure to refuse.
pub(super) fn check(expression: &str) -> Result<(), String> {
    let mut open_groups: usize = 0;
    // What could be repeated by `*`, `+`, `?` and `{`. An anchor can be, too.
    let mut before = Before::Nothing;
    let mut rest = expression.chars().peekable();
    while let Some(c) = rest.next() {
        before = match c {
            '\\' => escape(&mut rest, before)?,
            '[' => {
                class(&mut rest)?;
                Before::Something
            }
            '(' => {
                open_groups = open_groups.saturating_add(1);
                if rest.next_if_eq(&'?').is_some() {
                    group_flags(&mut rest)?;
                }
                Before::Nothing
            }
            ')' => {
                open_groups = open_groups.checked_sub(1).ok_or("a `)` has no `(`")?;
                Before::Something
            }
            '*' | '+' | '?' => repeated(c, before, &mut rest)?,
            '{' => match repetition(&mut rest) {
                Some(count) if count > REPEAT_MAX => {
                    return Err(format!("a repetition is above {REPEAT_MAX}"));
                }
                Some(_) => repeated('{', before, &mut rest)?,
                None => Before::Something,
            },
            '|' => Before::Nothing,
            _ => Before::Something,
        };
    }
    if open_groups > 0 { Err("a `(` has no `)`".into()) } else { Ok(()) }
}

type Rest<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// What stands before a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    Something,
    Repetition,
}

/// Reads on after an operator. `a*?` is a lazy repetition; `a**` is refused.
fn repeated(operator: char, before: Before, rest: &mut Rest<'_>) -> Result<Before, String> {
    match before {
        Before::Nothing => Err(format!("nothing stands before `{operator}`")),
        Before::Repetition => Err(format!("`{operator}` follows another repetition")),
        Before::Something => {
            rest.next_if_eq(&'?');
            Ok(Before::Repetition)
        }
    }
}

/// What follows a backslash.
fn escape(rest: &mut Rest<'_>, before: Before) -> Result<Before, String> {
    match rest.next().ok_or("it ends in a lone `\\`")? {
        // `\Q…\E` is text; an empty one only ends a repetition, which may be repeated then.
        'Q' if !quotation(rest) && before == Before::Nothing => Ok(Before::Nothing),
        'p' | 'P' | 'x' => {
            braced(rest);
            Ok(Before::Something)
        }
        _ => Ok(Before::Something),
    }
}

/// The rest of a quotation: to its end, or that of the expression. Whether there is text in it.
fn quotation(rest: &mut Rest<'_>) -> bool {
    let mut some = false;
    while let Some(c) = rest.next() {
        if c == '\\' && rest.next_if_eq(&'E').is_some() {
            return some;
        }
        some = true;
    }
    some
}

/// The name or number in `\p{Greek}` and `\x{2028}`, if there are braces.
fn braced(rest: &mut Rest<'_>) {
    if rest.next_if_eq(&'{').is_some() {
        while rest.next().is_some_and(|c| c != '}') {}
    }
}

/// The rest of a `[…]`. A `]` at its beginning is an ordinary character.
fn class(rest: &mut Rest<'_>) -> Result<(), String> {
    let open = "a `[` has no `]`";
    rest.next_if_eq(&'^');
    let mut first = true;
    loop {
        match rest.next().ok_or(open)? {
            ']' if !first => return Ok(()),
            '[' if named(rest) => {}
            c => {
                if character(c, rest) {
                    range(rest);
                }
            }
        }
        first = false;
    }
}

/// Takes the rest of `[:alpha:]`, if this is one.
fn named(rest: &mut Rest<'_>) -> bool {
    let mut ahead = rest.clone();
    if ahead.next_if_eq(&':').is_none() {
        return false;
    }
    ahead.next_if_eq(&'^');
    while ahead.next_if(char::is_ascii_alphabetic).is_some() {}
    let is_named = ahead.next() == Some(':') && ahead.next() == Some(']');
    if is_named {
        *rest = ahead;
    }
    is_named
}

/// Takes the rest of a character in a class. False: it stands for several, `\d`.
fn character(c: char, rest: &mut Rest<'_>) -> bool {
    if c != '\\' {
        return true;
    }
    let escaped = rest.next();
    if matches!(escaped, Some('p' | 'P' | 'x')) {
        braced(rest);
    }
    !matches!(escaped, Some('d' | 'D' | 's' | 'S' | 'w' | 'W' | 'p' | 'P'))
}

/// Takes the rest of `a-z`, if this is one; a `-` before the end is itself.
fn range(rest: &mut Rest<'_>) {
    let mut ahead = rest.clone();
    if ahead.next() == Some('-')
        && let Some(last) = ahead.next()
        && last != ']'
    {
        character(last, &mut ahead);
        *rest = ahead;
    }
}

/// What follows `(?`: a name, flags, and none of the look-arounds.
fn group_flags(rest: &mut Rest<'_>) -> Result<(), String> {
    let name = rest.next_if_eq(&'<').is_some();
    if matches!(rest.peek(), Some('=' | '!')) {
        return Err("look-around is not supported".into());
    }
    if !name {
        rest.next_if_eq(&':');
    }
    Ok(())
}

/// The greater number of `{2}`, `{2,}` or `{2,5}`, taken from what follows `{`; nothing if this
/// is no repetition but a plain brace. Looks no further than a repetition could reach.
fn repetition(rest: &mut Rest<'_>) -> Option<u32> {
    let mut ahead = rest.clone();
    let low = number(&mut ahead)?;
    let mut high = low;
    if ahead.next_if_eq(&',').is_some() && ahead.peek() != Some(&'}') {
        high = number(&mut ahead)?;
    }
    ahead.next_if_eq(&'}')?;
    *rest = ahead;
    Some(low.max(high))
}

/// Digits, as a number; the greatest one if it is too large. With a zero before it, it is none.
fn number(rest: &mut Rest<'_>) -> Option<u32> {
    let first = rest.next_if(char::is_ascii_digit)?.to_digit(10)?;
    if first == 0 && rest.peek().is_some_and(char::is_ascii_digit) {
        return None;
    }
    let mut value = first;
    while let Some(digit) = rest.peek().and_then(|c| c.to_digit(10)) {
        rest.next();
        value = value.saturating_mul(10).saturating_add(digit);
    }
    Some(value)
}
