//! The common mistakes in a regular expression.
//!
//! Not a parser: what passes here may still be refused by the server, which reads RE2's syntax.

/// Highest count of a repetition, `a{1000}`, in RE2.
const REPEAT_MAX: u32 = 1000;

/// Finds what RE2 is sure to refuse.
pub(super) fn check(expression: &str) -> Result<(), String> {
    let mut open_groups: usize = 0;
    // Whether there is something that `*`, `+`, `?` and `{` could repeat.
    let mut repeatable = false;
    let mut rest = expression.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\\' => {
                let escaped = rest.next().ok_or("it ends in a lone `\\`")?;
                repeatable = !matches!(escaped, 'A' | 'z' | 'b' | 'B');
            }
            '[' => {
                class(&mut rest)?;
                repeatable = true;
            }
            '(' => {
                open_groups += 1;
                repeatable = false;
                if rest.next_if_eq(&'?').is_some() {
                    group_flags(&mut rest)?;
                }
            }
            ')' => {
                open_groups = open_groups.checked_sub(1).ok_or("a `)` has no `(`")?;
                repeatable = true;
            }
            '*' | '+' | '?' => {
                if !repeatable {
                    return Err(format!("nothing stands before `{c}`"));
                }
                // `a*?` is a lazy repetition; `a**` is refused.
                rest.next_if_eq(&'?');
                repeatable = false;
            }
            '{' => {
                if let Some(count) = repetition(&mut rest) {
                    if count > REPEAT_MAX {
                        return Err(format!("a repetition is above {REPEAT_MAX}"));
                    }
                    if !repeatable {
                        return Err("nothing stands before `{`".into());
                    }
                }
            }
            '|' => repeatable = false,
            _ => repeatable = true,
        }
    }
    if open_groups > 0 { Err("a `(` has no `)`".into()) } else { Ok(()) }
}

type Rest<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// The rest of a `[…]`. A `]` at its beginning is an ordinary character.
fn class(rest: &mut Rest<'_>) -> Result<(), String> {
    rest.next_if_eq(&'^');
    rest.next_if_eq(&']');
    while let Some(c) = rest.next() {
        match c {
            ']' => return Ok(()),
            '\\' => {
                rest.next();
            }
            // `[[:alpha:]]`
            '[' if rest.peek() == Some(&':') => {
                rest.next();
                while rest.next().is_some_and(|c| c != ':') {}
                rest.next_if_eq(&']');
            }
            _ => {}
        }
    }
    Err("a `[` has no `]`".into())
}

/// What follows `(?`: a name, flags, and none of the look-arounds.
fn group_flags(rest: &mut Rest<'_>) -> Result<(), String> {
    match rest.next() {
        Some('=' | '!') => Err("look-around is not supported".into()),
        Some('<') if matches!(rest.peek(), Some('=' | '!')) => {
            Err("look-around is not supported".into())
        }
        Some(_) | None => Ok(()),
    }
}

/// The greater number of `{2}`, `{2,}` or `{2,5}`, taken from what follows `{`; nothing if this
/// is no repetition but a plain brace.
fn repetition(rest: &mut Rest<'_>) -> Option<u32> {
    let body: String = rest.clone().take_while(|c| *c != '}').collect();
    let (low, high) = body.split_once(',').unwrap_or((&body, ""));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(low) || !(high.is_empty() || digits(high)) || !rest.clone().any(|c| c == '}') {
        return None;
    }
    rest.by_ref().take_while(|c| *c != '}').for_each(drop);
    let number = |text: &str| if text.is_empty() { 0 } else { text.parse().unwrap_or(u32::MAX) };
    Some(number(low).max(number(high)))
}
