//! Which commands may be run: patterns over the whole command line.
//!
//! A command line is written in one way only: arguments one space apart, bare if they consist of
//! letters, digits and `_@%+=:,./-`, otherwise in single quotes (a single quote itself in double
//! quotes between them). So two commands never look the same, and an argument with a space in it
//! never looks like two. In a pattern `*` stands for any text without `/`, further arguments
//! included; `?`, `[…]` and `{…}` are as in `.gitignore`, and so is `**`, which is a wildcard only
//! as a whole part of a path; `\` takes a wildcard's meaning away.
//!
//! What a wildcard cannot do: stand for a program on PATH, or for one in a directory of system
//! programs; choose what an interpreter runs; lead out of a directory by `..`. The list of
//! interpreters cannot be complete: behind a program that is not on it, a wildcard is as
//! dangerous as the program's arguments are.

use globset::{GlobBuilder, GlobMatcher};

use super::programs::{Power, holds_programs, power};

/// The patterns of `allow`.
#[derive(Debug, Clone, Default)]
pub struct Allow {
    patterns: Vec<Pattern>,
}

/// A pattern that is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Which, from zero.
    pub index: usize,
    /// A lower-case fragment.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

#[derive(Debug, Clone)]
struct Pattern {
    written: String,
    form: Form,
}

#[derive(Debug, Clone)]
enum Form {
    /// Without a wildcard: this command line.
    Line(String),
    Glob {
        matcher: GlobMatcher,
        /// The program; if it has a wildcard, only its directory, which then ends in `/`.
        program: String,
    },
}

impl PartialEq for Allow {
    fn eq(&self, other: &Self) -> bool {
        let written = |allow: &Self| -> Vec<String> {
            allow.patterns.iter().map(|pattern| pattern.written.clone()).collect()
        };
        written(self) == written(other)
    }
}

impl Eq for Allow {}

impl Allow {
    /// Takes patterns.
    ///
    /// # Errors
    /// Those that are no pattern, that match no command line, or that let anything run.
    pub fn new(patterns: &[String]) -> Result<Self, Vec<Refused>> {
        let (mut taken, mut refused) = (Vec::new(), Vec::new());
        for (index, written) in patterns.iter().enumerate() {
            match form(written) {
                Ok(form) => taken.push(Pattern { written: written.clone(), form }),
                Err((message, hint)) => refused.push(Refused { index, message, hint }),
            }
        }
        if refused.is_empty() { Ok(Self { patterns: taken }) } else { Err(refused) }
    }

    /// Whether nothing may be run.
    pub const fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether a command may be run.
    pub fn permits(&self, argv: &[String]) -> bool {
        let Some(program) = argv.first().filter(|program| !program.is_empty()) else {
            return false;
        };
        let line = line(argv);
        let climbs = argv.iter().any(|arg| climbs(arg));
        self.patterns.iter().any(|pattern| match &pattern.form {
            Form::Line(only) => *only == line,
            Form::Glob { matcher, program: of } => {
                !climbs && is_program(program, of) && matcher.is_match(&line)
            }
        })
    }

    /// The pattern that permits this command and no other, as it is written in the configuration,
    /// quotes included.
    pub fn line_to_add(argv: &[String]) -> String {
        let mut out = String::from("\"");
        for c in line(argv).chars() {
            match c {
                // Once for the pattern, once for TOML.
                '\\' => out.push_str(r"\\\\"),
                c if WILD.contains(&c) => {
                    out.push_str(r"\\");
                    out.push(c);
                }
                '"' => out.push_str("\\\""),
                c if c.is_control() => {
                    let digits = format!("{:04X}", u32::from(c));
                    out.push_str("\\u");
                    out.push_str(&digits);
                }
                c => out.push(c),
            }
        }
        out.push('"');
        out
    }
}

/// What is special in a pattern, beside `\`.
const WILD: &[char] = &['*', '?', '[', ']', '{', '}'];

/// The one way to write a command. No two commands are written alike.
pub fn line(argv: &[String]) -> String {
    argv.iter().map(|arg| quoted(arg)).collect::<Vec<_>>().join(" ")
}

fn quoted(arg: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !arg.is_empty() && arg.chars().all(bare) {
        return arg.to_owned();
    }
    format!("'{}'", arg.replace('\'', "'\"'\"'"))
}

/// Whether a path in an argument leads upwards.
fn climbs(arg: &str) -> bool {
    arg.split(['/', '=', ':', ',']).any(|part| part == "..")
}

fn is_program(typed: &str, of: &str) -> bool {
    match of.strip_suffix('/') {
        None => typed == of,
        Some(_) => typed.strip_prefix(of).is_some_and(|name| {
            !name.is_empty() && !name.contains('/') && !matches!(name, "." | "..")
        }),
    }
}

/// A character of a pattern, and whether it is a wildcard there.
type Mark = (char, bool);

type Wrong = (String, Option<String>);

fn form(written: &str) -> Result<Form, Wrong> {
    let words = words(written).map_err(|message| (message, None))?;
    let Some((program, arguments)) = words.split_first() else {
        return Err(("an empty pattern".to_owned(), None));
    };
    if !words.iter().flatten().any(|(_, wild)| *wild) {
        let argv: Vec<String> = words.iter().map(|word| text(word)).collect();
        let plain: String = marks(written).iter().map(|(c, _)| c).collect();
        let line = line(&argv);
        if line != plain {
            let message = format!("`{written}` is not how a command line is written here");
            return Err((message, Some(format!("write {}", Allow::line_to_add(&argv)))));
        }
        return Ok(Form::Line(line));
    }
    let program = judge_program(written, program)?;
    judge_arguments(written, &program, arguments)?;
    if words.iter().any(|word| climbs(&text(word))) {
        let message = format!("`{written}` has both a wildcard and `..`");
        return Err((message, Some("name the whole path, or use no wildcard".to_owned())));
    }
    let glob = GlobBuilder::new(written).literal_separator(true).backslash_escape(true).build();
    match glob {
        Ok(glob) => Ok(Form::Glob { matcher: glob.compile_matcher(), program }),
        Err(error) => Err((format!("`{written}` is not a pattern: {}", error.kind()), None)),
    }
}

/// The program of a pattern with a wildcard, or its directory if the wildcard is in it.
fn judge_program(written: &str, word: &[Mark]) -> Result<String, Wrong> {
    let wrong =
        |message: &str, hint: &str| Err((format!("`{written}` {message}"), Some(hint.to_owned())));
    if !word.iter().any(|(_, wild)| *wild) {
        return Ok(text(word));
    }
    let Some(slash) = word.iter().rposition(|(c, _)| *c == '/') else {
        return wrong(
            "lets any program on PATH be run",
            "name the program, or the directory of your scripts: \"scripts/*\"",
        );
    };
    let (dir, _) = word.split_at_checked(slash + 1).unwrap_or((word, &[]));
    if dir.iter().any(|(_, wild)| *wild) || text(word).contains("**") {
        return wrong(
            "has a wildcard in the program's directory",
            "name the directory, or several of them in patterns of their own",
        );
    }
    let dir = text(dir);
    if holds_programs(&dir) {
        return wrong(
            "lets any program of that directory be run, interpreters included",
            "name the program",
        );
    }
    Ok(dir)
}

/// What an interpreter is told to run must not be a wildcard's choice.
fn judge_arguments(written: &str, program: &str, words: &[Vec<Mark>]) -> Result<(), Wrong> {
    let name = program.rsplit('/').next().unwrap_or(program);
    let hint = |text: &str| Some(text.to_owned());
    match power(program) {
        Power::Own => Ok(()),
        Power::Launches => Err((
            format!("`{written}` lets `{name}` run other programs by a wildcard"),
            hint("write the whole command line, or put it into a script and name that"),
        )),
        Power::Interprets => {
            let script = words.first().map_or(&[][..], Vec::as_slice);
            let fixed = script.iter().take_while(|(_, wild)| !wild);
            // Neither an option nor a path of which everything is open.
            let named = fixed.map(|(c, _)| c).find(|c| !matches!(c, '.' | '/'));
            if named.is_some_and(|c| *c != '-') && !text(script).starts_with('-') {
                return Ok(());
            }
            let message = format!("`{written}` lets `{name}` run any code");
            Err((
                message,
                hint("name the script right after it, as in \"python3 get_region.py *\""),
            ))
        }
    }
}

fn text(word: &[Mark]) -> String {
    word.iter().map(|(c, _)| c).collect()
}

/// A pattern's characters after `\` was taken away.
fn marks(written: &str) -> Vec<Mark> {
    let mut out = Vec::new();
    let mut chars = written.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.push((chars.next().unwrap_or('\\'), false)),
            c => out.push((c, WILD.contains(&c))),
        }
    }
    out
}

/// A pattern's words, without quotes.
fn words(written: &str) -> Result<Vec<Vec<Mark>>, String> {
    let mut words = vec![Vec::new()];
    let mut quote = None;
    let mut started = false;
    for (c, wild) in marks(written) {
        match (quote, c) {
            (Some(open), c) if open == c => quote = None,
            (None, '\'' | '"') => (quote, started) = (Some(c), true),
            (None, ' ') if started => {
                words.push(Vec::new());
                started = false;
            }
            (None, c) if c.is_whitespace() => {
                return Err(format!("`{written}`: arguments are one space apart"));
            }
            (Some(_) | None, c) => {
                if let Some(word) = words.last_mut() {
                    word.push((c, wild));
                }
                started = true;
            }
        }
    }
    if quote.is_some() {
        return Err(format!("`{written}` has a quote that is not closed"));
    }
    if started {
        Ok(words)
    } else if written.is_empty() {
        Ok(Vec::new())
    } else {
        Err(format!("`{written}` ends in a space"))
    }
}
