//! Durations as Go and Teleport write them.

/// Nanoseconds of each unit that Teleport reads: Go's, and days, months of thirty days and
/// years of 365.
const UNITS: &[(&str, u64)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000), // micro sign
    ("μs", 1_000), // Greek mu
    ("ms", 1_000_000),
    ("s", SECOND),
    ("m", MINUTE),
    ("h", HOUR),
    ("d", 24 * HOUR),
    ("mo", 30 * 24 * HOUR),
    ("y", 365 * 24 * HOUR),
];

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// Most nanoseconds in either direction. Go can also write the one below `-LIMIT`, but
/// Teleport does not read it back.
const LIMIT: u64 = i64::MAX.unsigned_abs();

/// Reads Teleport's JSON form of a duration: Go's syntax with units `d`, `mo`, `y`, and `never`.
/// Nanoseconds.
///
/// # Errors
/// The text that Teleport gives, `time: invalid duration "x"`.
pub fn parse(text: &str) -> Result<i64, String> {
    if text == "never" {
        return Ok(0);
    }
    let (negative, body) = match text.strip_prefix(['-', '+']) {
        Some(body) => (text.starts_with('-'), body),
        None => (false, text),
    };
    if body == "0" {
        return Ok(0);
    }
    let invalid = || format!("time: invalid duration {}", quoted(text));
    if body.is_empty() {
        return Err(invalid());
    }
    let mut rest = body;
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => digits(after),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(invalid());
        }
        let end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(end).unwrap_or((after, ""));
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {}", quoted(text)));
        }
        let Some((_, scale)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(format!("time: unknown unit in duration {}", quoted(text)));
        };
        total = term(whole, fraction, *scale)
            .and_then(|term| total.checked_add(term))
            .filter(|sum| *sum <= LIMIT)
            .ok_or_else(invalid)?;
        rest = after;
    }
    let total = i64::try_from(total).map_err(|_too_large| invalid())?;
    Ok(if negative { -total } else { total })
}

/// Leading decimal digits, and what follows.
fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// One number with its unit, in nanoseconds; what is below one is cut off.
fn term(whole: &str, fraction: &str, scale: u64) -> Option<u64> {
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let (mut numerator, mut denominator): (u128, u128) = (0, 1);
    // More digits than this cannot change a nanosecond of the largest unit.
    for digit in fraction.bytes().take(18) {
        numerator = numerator * 10 + u128::from(digit - b'0');
        denominator *= 10;
    }
    let part = u64::try_from(numerator * u128::from(scale) / denominator).ok()?;
    whole.checked_mul(scale)?.checked_add(part)
}

/// As Go's `quote`, enough for what a person types: control characters escaped (the rare ones in Rust's way).
fn quoted(text: &str) -> String {
    let mut shown = String::from('"');
    for c in text.chars() {
        match c {
            '"' => shown.push_str("\\\""),
            '\\' => shown.push_str("\\\\"),
            '\n' => shown.push_str("\\n"),
            '\t' => shown.push_str("\\t"),
            '\r' => shown.push_str("\\r"),
            c if c.is_control() => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    shown.push('"');
    shown
}

/// Writes nanoseconds as Go does, `30h0m0s`.
pub fn show(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let total = nanoseconds.unsigned_abs();
    if total == 0 {
        return "0s".into();
    }
    if total < SECOND {
        let (unit, scale) = match total {
            0..1_000 => ("ns", 1),
            1_000..1_000_000 => ("µs", 1_000),
            _ => ("ms", 1_000_000),
        };
        return format!("{sign}{}{unit}", decimal(total, scale));
    }
    let seconds = decimal(total % MINUTE, SECOND);
    match (total / HOUR, total / MINUTE % 60) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
        (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

/// `amount / scale` without trailing zeros; `scale` is a power of ten.
fn decimal(amount: u64, scale: u64) -> String {
    let whole = amount / scale;
    let part = amount % scale;
    if part == 0 {
        return whole.to_string();
    }
    let width = usize::try_from(scale.ilog10()).unwrap_or(0);
    let digits = format!("{part:0width$}");
    format!("{whole}.{}", digits.trim_end_matches('0'))
}
