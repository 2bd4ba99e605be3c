//! Classes and escapes of Go's expressions, as ranges of numbers.

/// Largest character.
const LAST: u32 = 0x10_FFFF;
/// Numbers that are no characters; no text has them.
const SURROGATES: std::ops::RangeInclusive<u32> = 0xD800..=0xDFFF;
/// What no character is in.
const NOTHING: &str = r"[^\x{0}-\x{10FFFF}]";

/// `\d \s \w`, ASCII as in Go: no vertical tab among the spaces.
const PERL: &[(char, &str)] =
    &[('d', "0-9"), ('s', r"\x{9}\x{A}\x{C}\x{D}\x{20}"), ('w', "0-9A-Za-z_")];

/// `[:name:]`.
const POSIX: &[(&str, &str)] = &[
    ("alnum", "0-9A-Za-z"),
    ("alpha", "A-Za-z"),
    ("ascii", r"\x{0}-\x{7F}"),
    ("blank", r"\x{9}\x{20}"),
    ("cntrl", r"\x{0}-\x{1F}\x{7F}"),
    ("digit", "0-9"),
    ("graph", r"\x{21}-\x{7E}"),
    ("lower", "a-z"),
    ("print", r"\x{20}-\x{7E}"),
    ("punct", r"\x{21}-\x{2F}\x{3A}-\x{40}\x{5B}-\x{60}\x{7B}-\x{7E}"),
    ("space", r"\x{9}-\x{D}\x{20}"),
    ("upper", "A-Z"),
    ("word", "0-9A-Za-z_"),
    ("xdigit", "0-9A-Fa-f"),
];

/// Unicode's general categories by the names that Go 1.24 knows. `C` has no unassigned
/// characters in Go, and `Cs` none at all.
const CATEGORIES: &str = "C Cc Cf Co Cs L Ll Lm Lo Lt Lu M Mc Me Mn N Nd Nl No P Pc Pd Pe Pf Pi \
                          Po Ps S Sc Sk Sm So Z Zl Zp Zs";

/// Unicode's scripts by the names that Go 1.24 knows (Unicode 15).
const SCRIPTS: &str = "Adlam Ahom Anatolian_Hieroglyphs Arabic Armenian Avestan Balinese Bamum \
Bassa_Vah Batak Bengali Bhaiksuki Bopomofo Brahmi Braille Buginese Buhid Canadian_Aboriginal \
Carian Caucasian_Albanian Chakma Cham Cherokee Chorasmian Common Coptic Cuneiform Cypriot \
Cypro_Minoan Cyrillic Deseret Devanagari Dives_Akuru Dogra Duployan Egyptian_Hieroglyphs Elbasan \
Elymaic Ethiopic Georgian Glagolitic Gothic Grantha Greek Gujarati Gunjala_Gondi Gurmukhi Han \
Hangul Hanifi_Rohingya Hanunoo Hatran Hebrew Hiragana Imperial_Aramaic Inherited \
Inscriptional_Pahlavi Inscriptional_Parthian Javanese Kaithi Kannada Katakana Kawi Kayah_Li \
Kharoshthi Khitan_Small_Script Khmer Khojki Khudawadi Lao Latin Lepcha Limbu Linear_A Linear_B \
Lisu Lycian Lydian Mahajani Makasar Malayalam Mandaic Manichaean Marchen Masaram_Gondi Medefaidrin \
Meetei_Mayek Mende_Kikakui Meroitic_Cursive Meroitic_Hieroglyphs Miao Modi Mongolian Mro Multani \
Myanmar Nabataean Nag_Mundari Nandinagari New_Tai_Lue Newa Nko Nushu Nyiakeng_Puachue_Hmong Ogham \
Ol_Chiki Old_Hungarian Old_Italic Old_North_Arabian Old_Permic Old_Persian Old_Sogdian \
Old_South_Arabian Old_Turkic Old_Uyghur Oriya Osage Osmanya Pahawh_Hmong Palmyrene Pau_Cin_Hau \
Phags_Pa Phoenician Psalter_Pahlavi Rejang Runic Samaritan Saurashtra Sharada Shavian Siddham \
SignWriting Sinhala Sogdian Sora_Sompeng Soyombo Sundanese Syloti_Nagri Syriac Tagalog Tagbanwa \
Tai_Le Tai_Tham Tai_Viet Takri Tamil Tangsa Tangut Telugu Thaana Thai Tibetan Tifinagh Tirhuta \
Toto Ugaritic Vai Vithkuqi Wancho Warang_Citi Yezidi Yi Zanabazar_Square";

/// One character by its number.
pub(super) fn number(c: u32) -> String {
    if SURROGATES.contains(&c) { NOTHING.to_owned() } else { format!(r"\x{{{c:X}}}") }
}

fn range(mut low: u32, mut high: u32) -> String {
    if SURROGATES.contains(&low) {
        low = SURROGATES.end() + 1;
    }
    if SURROGATES.contains(&high) {
        high = SURROGATES.start() - 1;
    }
    if low > high { NOTHING.to_owned() } else { format!(r"\x{{{low:X}}}-\x{{{high:X}}}") }
}

/// A class after its `[`; gives the class and what follows its `]`.
pub(super) fn brackets(text: &str) -> Result<(String, &str), String> {
    let open = || "a `[` is not closed".to_owned();
    let mut out = String::from("[");
    let mut rest = text;
    if let Some(negated) = rest.strip_prefix('^') {
        out.push('^');
        rest = negated;
    }
    let mut first = true;
    loop {
        if let Some(after) = rest.strip_prefix(']').filter(|_| !first) {
            out.push(']');
            return Ok((out, after));
        }
        first = false;
        if let Some((class, after)) = posix(rest)? {
            out.push_str(&class);
            rest = after;
            continue;
        }
        if let Some(escape) = rest.strip_prefix('\\')
            && let Some((class, after)) = escaped(escape)?
        {
            out.push_str(&class);
            rest = after;
            continue;
        }
        let (low, after) = member(rest)?.ok_or_else(open)?;
        rest = after;
        // A `-` before the end is itself.
        let to = rest.strip_prefix('-').filter(|to| !to.is_empty() && !to.starts_with(']'));
        let mut high = low;
        if let Some(to) = to {
            (high, rest) = member(to)?.ok_or_else(open)?;
            if high < low {
                return Err("a range has its ends the wrong way round".to_owned());
            }
        }
        out.push_str(&range(low, high));
    }
}

/// One character of a class; absent at the end of the text.
fn member(text: &str) -> Result<Option<(u32, &str)>, String> {
    if let Some(escape) = text.strip_prefix('\\') {
        return character(escape).map(Some);
    }
    let mut chars = text.chars();
    Ok(chars.next().map(|c| (u32::from(c), chars.as_str())))
}

/// `[:name:]` inside of a class; absent if it is none.
fn posix(text: &str) -> Result<Option<(String, &str)>, String> {
    let Some((name, rest)) = text.strip_prefix("[:").and_then(|text| text.split_once(":]")) else {
        return Ok(None);
    };
    let (plain, negated) = match name.strip_prefix('^') {
        Some(plain) => (plain, true),
        None => (name, false),
    };
    match POSIX.iter().find(|(known, _)| *known == plain) {
        Some((_, ranges)) => Ok(Some((nested(ranges, negated), rest))),
        None => Err(format!("there is no class `[:{name}:]`")),
    }
}

fn nested(ranges: &str, negated: bool) -> String {
    if negated { format!("[^{ranges}]") } else { format!("[{ranges}]") }
}

/// `\d` and its like, `\pL`, `\p{Greek}`, after the `\`; absent if it is none.
pub(super) fn escaped(text: &str) -> Result<Option<(String, &str)>, String> {
    let mut chars = text.chars();
    let Some(letter) = chars.next() else { return Ok(None) };
    let rest = chars.as_str();
    if let Some((plain, ranges)) =
        PERL.iter().find(|(plain, _)| plain.eq_ignore_ascii_case(&letter))
    {
        return Ok(Some((nested(ranges, *plain != letter), rest)));
    }
    if !matches!(letter, 'p' | 'P') {
        return Ok(None);
    }
    let (name, rest) = if let Some(braced) = rest.strip_prefix('{') {
        braced.split_once('}').ok_or("a `\\p{` is not closed")?
    } else {
        let length = rest.chars().next().map_or(0, char::len_utf8);
        rest.split_at_checked(length).unwrap_or((rest, ""))
    };
    let (name, turned) = match name.strip_prefix('^') {
        Some(name) => (name, true),
        None => (name, false),
    };
    let class = unicode(name).ok_or_else(|| format!("there is no Unicode class `{name}`"))?;
    let negated = (letter == 'P') != turned;
    Ok(Some((nested(&class, negated), rest)))
}

fn unicode(name: &str) -> Option<String> {
    let known = |names: &str| names.split_whitespace().any(|known| known == name);
    match name {
        "Any" => Some(range(0, LAST)),
        "C" => Some(r"\p{gc=Cc}\p{gc=Cf}\p{gc=Co}".to_owned()),
        "Cs" => Some(NOTHING.to_owned()),
        name if known(CATEGORIES) => Some(format!(r"\p{{gc={name}}}")),
        name if known(SCRIPTS) => Some(format!(r"\p{{sc={name}}}")),
        _ => None,
    }
}

/// One escaped character, after the `\`.
pub(super) fn character(text: &str) -> Result<(u32, &str), String> {
    let mut chars = text.chars();
    let c = chars.next().ok_or("a `\\` stands at the end")?;
    let rest = chars.as_str();
    let wrong = || format!("`\\{c}` means nothing to Go");
    let plain = match c {
        'a' => 0x07,
        't' => 0x09,
        'n' => 0x0A,
        'v' => 0x0B,
        'f' => 0x0C,
        'r' => 0x0D,
        'x' => return hexadecimal(rest).ok_or_else(wrong),
        '0'..='7' => {
            // One digit other than zero would refer back to a group, which RE2 cannot.
            let octal = |c: char| c.to_digit(8);
            if c != '0' && rest.chars().next().and_then(octal).is_none() {
                return Err(wrong());
            }
            let mut chars = text.chars();
            let mut number = 0;
            for _ in 0..3 {
                let mut ahead = chars.clone();
                let Some(digit) = ahead.next().and_then(octal) else { break };
                number = number * 8 + digit;
                chars = ahead;
            }
            return Ok((number, chars.as_str()));
        }
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => u32::from(c),
        _ => return Err(wrong()),
    };
    Ok((plain, rest))
}

/// `41` or `{41}`.
fn hexadecimal(text: &str) -> Option<(u32, &str)> {
    if let Some(braced) = text.strip_prefix('{') {
        let (digits, rest) = braced.split_once('}')?;
        let mut number = 0_u32;
        for digit in digits.chars() {
            number = number.checked_mul(16)?.checked_add(digit.to_digit(16)?)?;
            if number > LAST {
                return None;
            }
        }
        return (!digits.is_empty()).then_some((number, rest));
    }
    let mut chars = text.chars();
    let high = chars.next()?.to_digit(16)?;
    let low = chars.next()?.to_digit(16)?;
    Some((high * 16 + low, chars.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_knows_every_name() {
        for name in CATEGORIES.split_whitespace().chain(SCRIPTS.split_whitespace()) {
            for text in [format!("^\\p{{{name}}}$"), format!("^[\\P{{^{name}}}]$")] {
                let compiled = crate::labels::re2::compile(&text);
                assert!(compiled.is_ok(), "{text}: {compiled:?}");
            }
        }
    }
}
