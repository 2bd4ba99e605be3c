//! Every rule that a finding can name.

use crate::model::Code;

/// One row of [`CODES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// `M012`. Never used again for something else.
    pub code: Code,
    /// What is wrong when it is raised.
    pub meaning: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
}

macro_rules! rules {
    ($($name:ident = $code:literal, $meaning:literal, $remedy:literal;)+) => {
        $(#[doc = concat!($meaning, ".")] pub const $name: Code = Code($code);)+

        /// The table, by code.
        pub static CODES: &[Rule] = &[
            $(Rule { code: $name, meaning: $meaning, remedy: $remedy },)+
        ];
    };
}

rules! {
    UNREADABLE = "M001", "The file cannot be read",
        "Give the agent the right to read it, or exclude it.";
    FILE_TOO_LARGE = "M002", "The file is larger than the limit",
        "Split it, or exclude it.";
    DOCUMENT_TOO_LARGE = "M003", "One document is larger than the limit",
        "No resource is that large; look for a missing `---`.";
    TOO_MANY_DOCUMENTS = "M004", "The file has more documents than the limit",
        "Split it.";
    TOO_DEEP = "M005", "The document is nested deeper than the limit",
        "No resource is nested that deep.";
    TOO_MANY_NODES = "M006", "The document grows beyond the limit when its aliases are filled in",
        "Write out what is needed.";
    NOT_UTF8 = "M007", "The text is not UTF-8",
        "Save the file as UTF-8.";
    BYTE_ORDER_MARK = "M008", "The file begins with a byte order mark, which is ignored",
        "Save the file without it.";
    CONTROL_CHARACTER = "M009", "The text contains a control character",
        "Remove it, or write it as an escape inside double quotes.";
    TAB = "M010", "A tab is used for indentation",
        "Use spaces.";
    DIRECTIVE = "M011", "A line begins with `%`, a YAML directive, which Teleport refuses",
        "Remove the line.";
    SYNTAX = "M012", "The text is not valid YAML",
        "Fix the syntax here.";
    DUPLICATE_KEY = "M013", "A key appears twice in one mapping",
        "Keep one of them.";
    READERS_DISAGREE = "M014", "Two YAML readers understand the document differently",
        "Write it more plainly: put quotes around text and spaces after colons.";
    BAD_KEY = "M015", "A key is not text, or Teleport would read it as another one",
        "Quote it.";
    BAD_SCALAR = "M016", "A value is not what its tag says, or JSON cannot hold it",
        "Remove the tag, or quote the value.";
    BAD_MERGE = "M017", "A merge (`<<`) refers to something that is not a mapping",
        "Refer to a mapping, or to a list of mappings.";
    AFTER_END = "M018", "Text follows the end of the document, which tctl would skip",
        "Begin the next document with `---`.";
    NOT_A_MAPPING = "M019", "The document is not a mapping",
        "A resource begins with `kind:`.";
    KIND_MISSING = "M020", "`kind` is missing",
        "Say what the resource is, for example `kind: role`.";
    KIND_UNKNOWN = "M021", "This version does not manage the kind",
        "Correct the word, or keep the file elsewhere.";
    KIND_SPELLING = "M022", "The kind is written as on the command line",
        "Write it in lower case and in the singular.";
    VERSION_MISSING = "M023", "`version` is missing",
        "Add it.";
    VERSION_UNKNOWN = "M024", "The kind has no such version",
        "Use one of those listed.";
    NAME_MISSING = "M025", "`metadata.name` is missing",
        "Name the resource.";
    UNKNOWN_FIELD = "M030", "The kind has no such field; tctl would drop it silently",
        "Correct the spelling, which is case-sensitive, or remove it.";
    WRONG_TYPE = "M031", "The value has the wrong form",
        "Write it in the form that the finding names.";
    NEEDS_QUOTES = "M032", "YAML reads the value as a boolean or a number, but it must be text",
        "Quote it.";
    BAD_BASE64 = "M033", "The value is not standard base64",
        "Encode with `base64`, padding included.";
    BAD_DURATION = "M034", "The value is not a duration",
        "Write it like `30s`, `1h30m` or `24h`.";
    BAD_TIMESTAMP = "M035", "The value is not a time",
        "Write it in RFC 3339, like `2030-01-01T00:00:00Z`.";
    BAD_WORD = "M036", "The value is not one of the words allowed here",
        "Use one of those listed.";
    OUT_OF_RANGE = "M037", "The number is too small or too large",
        "Use a number within the bounds.";
    SECRET_REFERENCE = "M038", "The secret that a reference points to cannot be read",
        "Make it readable; until then the resource stays as it is.";
    FINGERPRINT = "M039", "The value is the fingerprint of a secret, as `reconciler get` shows it",
        "Write the secret itself, or a reference to it.";
    SERVER_OWNED = "M040", "The server sets this field; the value here is ignored",
        "You can remove it.";
    SERVER_LABEL = "M041", "Manifests cannot set this label; it is ignored",
        "You can remove it.";
    CHILD_FILE = "M042", "The file describes the inside of a child cluster, which is not managed yet",
        "Wait for a later version, or keep it elsewhere.";
    DUPLICATE_RESOURCE = "M050", "The same resource is declared twice",
        "Keep one of them; until then it stays as it is.";
    UNKNOWN_DIRECTIVE = "M051", "There is no such `reconciler/` label",
        "Correct the spelling.";
    BAD_DIRECTIVE = "M052", "The `reconciler/` label has an invalid value",
        "Use one of the values listed.";
    TOO_MANY_FINDINGS = "M060", "The file has more findings than are shown",
        "Fix the first ones.";
}
