//! What a scalar means to Teleport: YAML 1.1 as Go's yaml.v2 reads it.
//!
//! The table was measured against that reader: `yes` and `y` are booleans, `010` is eight,
//! `018` is the number 18, `1_000` is a thousand, dates and `12:30:45` are text.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::model::{Scalar, ScalarStyle};

/// Tags of YAML's own types, as `!!int` is written out.
const CORE_TAGS: &str = "tag:yaml.org,2002:";

/// Reads a scalar. `tag` is the full tag, if one was written.
///
/// # Errors
/// What is wrong with it, a fragment: a number that JSON cannot hold, a value that is not what
/// its tag says, `!!binary` that is not base64 or not text.
pub fn resolve<'a>(
    text: Cow<'a, str>,
    style: ScalarStyle,
    tag: Option<&str>,
) -> Result<Scalar<'a>, String> {
    let Some(tag) = tag else {
        return match style {
            ScalarStyle::Plain => plain(text),
            ScalarStyle::Text => Ok(Scalar::String(text)),
        };
    };
    match tag.strip_prefix(CORE_TAGS) {
        Some("binary") => binary(&text),
        Some(name @ ("bool" | "int" | "float" | "null")) => typed(text, name),
        // Go drops tags of its own making, and everything is text then.
        Some(_) | None => Ok(Scalar::String(text)),
    }
}

fn binary(text: &str) -> Result<Scalar<'static>, String> {
    let text: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    let bytes = STANDARD.decode(text).map_err(|_| "`!!binary` without valid base64".to_owned())?;
    let text = String::from_utf8(bytes).map_err(|_| "`!!binary` that is not text".to_owned())?;
    Ok(Scalar::String(text.into()))
}

fn typed<'a>(text: Cow<'a, str>, name: &str) -> Result<Scalar<'a>, String> {
    let scalar = plain(text)?;
    let fits = match &scalar {
        Scalar::Null => name == "null",
        Scalar::Bool(_) => name == "bool",
        Scalar::Int(_) => name == "int" || name == "float",
        Scalar::Float(_) => name == "float",
        Scalar::String(_) => false,
    };
    if fits { Ok(scalar) } else { Err(format!("a value that does not match its tag `!!{name}`")) }
}

/// A scalar without quotes.
fn plain(text: Cow<'_, str>) -> Result<Scalar<'_>, String> {
    match &*text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Scalar::Null),
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Ok(Scalar::Bool(true));
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Ok(Scalar::Bool(false));
        }
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF"
        | "-.inf" | "-.Inf" | "-.INF" => {
            return Err(format!("`{text}`, a number that JSON cannot hold"));
        }
        _ => {}
    }
    let number = match text.bytes().next() {
        Some(b'0'..=b'9' | b'+' | b'-') => {
            let digits = text.replace('_', "");
            integer(&digits).or_else(|| float(&digits))
        }
        // The reader removes `_` only after a digit or a sign.
        Some(b'.') => float(&text),
        _ => None,
    };
    Ok(number.unwrap_or(Scalar::String(text)))
}

/// Go's `ParseInt(text, 0, 64)`, then `ParseUint`.
fn integer(text: &str) -> Option<Scalar<'static>> {
    let (sign, digits) = match text.split_at_checked(1) {
        Some(("-", rest)) => (-1, rest),
        Some(("+", rest)) => (1, rest),
        _ => (1, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, body) = if let Some(body) = lower.strip_prefix("0x") {
        (16, body)
    } else if let Some(body) = lower.strip_prefix("0b") {
        (2, body)
    } else if let Some(body) = lower.strip_prefix("0o") {
        (8, body)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, lower.as_str())
    } else {
        (10, lower.as_str())
    };
    if !body.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let magnitude = u64::from_str_radix(body, radix).ok()?;
    let value = sign * i128::from(magnitude);
    if let Ok(value) = i64::try_from(value) {
        return Some(Scalar::Int(value));
    }
    // Beyond i64 Go takes it as unsigned, without a sign; we have no such number but need none.
    #[expect(clippy::cast_precision_loss, reason = "only that it is out of range matters")]
    let approximate = magnitude as f64;
    (digits.len() == text.len()).then_some(Scalar::Float(approximate))
}

/// `-1.5e3` and the like, if it is finite.
fn float(text: &str) -> Option<Scalar<'static>> {
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match body.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (body, None),
    };
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent_fits = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !digits.is_empty() && all_digits(digits)
    });
    if !exponent_fits || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    value.is_finite().then_some(Scalar::Float(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<'a>(
        text: &'a str,
        style: ScalarStyle,
        tag: Option<&str>,
    ) -> Result<Scalar<'a>, String> {
        resolve(text.into(), style, tag)
    }

    #[test]
    fn plain_scalars_mean_what_go_reads() {
        use Scalar::{Bool, Float, Int, Null};
        for (text, wanted) in [
            ("", Null),
            ("~", Null),
            ("null", Null),
            ("NULL", Null),
            ("yes", Bool(true)),
            ("Yes", Bool(true)),
            ("y", Bool(true)),
            ("on", Bool(true)),
            ("no", Bool(false)),
            ("n", Bool(false)),
            ("off", Bool(false)),
            ("False", Bool(false)),
            ("0777", Int(511)),
            ("0o777", Int(511)),
            ("0x1F", Int(31)),
            ("0X1F", Int(31)),
            ("0b101", Int(5)),
            ("010", Int(8)),
            ("1_000", Int(1000)),
            ("1__0", Int(10)),
            ("-5", Int(-5)),
            ("+5", Int(5)),
            ("0", Int(0)),
            ("123456789012", Int(123_456_789_012)),
            ("018", Float(18.0)),
            ("0.1_2", Float(0.12)),
            ("1.10", Float(1.1)),
            (".5", Float(0.5)),
            ("1.", Float(1.0)),
            ("1e3", Float(1000.0)),
            ("-1.5E+2", Float(-150.0)),
            ("9999999999999999999", Float(1e19)),
            ("-9223372036854775808", Int(i64::MIN)),
        ] {
            assert_eq!(read(text, ScalarStyle::Plain, None), Ok(wanted), "{text}");
        }
        for text in [
            "12:30:45",
            "2024-01-01",
            "1e400",
            "yEs",
            "nUll",
            ".",
            "-",
            "+",
            "1.2.3",
            "0x",
            "0b2",
            "1h",
            "e5",
            "--1",
            "+-1",
            "._5",
            "0xZZ",
            "tRue",
            "<<",
            "=",
            ".e5",
            "1e",
        ] {
            let wanted = Scalar::String(text.into());
            assert_eq!(read(text, ScalarStyle::Plain, None), Ok(wanted), "{text}");
        }
        for text in [".inf", "-.INF", ".NaN", "+.Inf"] {
            assert!(read(text, ScalarStyle::Plain, None).is_err(), "{text}");
        }
    }

    #[test]
    fn quotes_make_text_and_tags_decide() {
        let text = |text: &'static str| Ok(Scalar::String(text.into()));
        let tagged = |value: &'static str, style, tag: &str| {
            read(value, style, Some(&format!("{CORE_TAGS}{tag}")))
        };
        assert_eq!(read("yes", ScalarStyle::Text, None), text("yes"));
        assert_eq!(tagged("010", ScalarStyle::Plain, "str"), text("010"));
        assert_eq!(tagged("aGk=", ScalarStyle::Plain, "binary"), text("hi"));
        assert_eq!(tagged("5", ScalarStyle::Text, "int"), Ok(Scalar::Int(5)));
        assert_eq!(read("5", ScalarStyle::Plain, Some("!mine")), text("5"));
        assert!(tagged("x", ScalarStyle::Plain, "int").is_err());
        assert!(tagged("1.5", ScalarStyle::Plain, "int").is_err());
        assert!(tagged("aGk", ScalarStyle::Plain, "binary").is_err());
        assert!(tagged("/w==", ScalarStyle::Plain, "binary").is_err());
    }
}
