//! Text of others, on its way to a terminal.

use std::borrow::Cow;

/// Text that cannot steer a terminal or reorder a line: control and direction characters
/// become `\u{…}`.
pub fn clean(text: &str) -> Cow<'_, str> {
    // Nearly all of it is plain ASCII, and there may be megabytes of it.
    let is_plain = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    if is_plain || !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unsafe(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// C0 and C1 controls, the separators that some viewers take for line ends, and everything that
/// changes the direction of text.
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2066}'..='\u{2069}' | '\u{feff}')
}
