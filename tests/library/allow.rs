//! Which commands may be run.

#![expect(clippy::panic, clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

use proptest::prelude::*;
use reconciler::labels::allow::{Allow, line};

fn argv(words: &[&str]) -> Vec<String> {
    words.iter().copied().map(str::to_owned).collect()
}

fn allow(patterns: &[&str]) -> Allow {
    match Allow::new(&argv(patterns)) {
        Ok(allow) => allow,
        Err(refused) => panic!("{patterns:?}: {refused:?}"),
    }
}

#[test]
fn a_command_is_written_in_one_way() {
    let table: [(&[&str], &str); 7] = [
        (&["python3", "get_region.py"], "python3 get_region.py"),
        (&["echo", "a b"], "echo 'a b'"),
        (&["echo", "a", "b"], "echo a b"),
        (&["echo", ""], "echo ''"),
        (&["echo", "it's"], "echo 'it'\"'\"'s'"),
        (&["echo", "'a", "b'"], "echo ''\"'\"'a' 'b'\"'\"''"),
        (&["echo", "a*", "\\", "ä", "x=1,y:2"], "echo 'a*' '\\' 'ä' x=1,y:2"),
    ];
    for (words, expected) in table {
        assert_eq!(line(&argv(words)), expected);
    }
}

#[test]
fn what_patterns_permit() {
    let table: [(&str, &[&str], bool); 40] = [
        ("python3 get_region.py", &["python3", "get_region.py"], true),
        ("python3 get_region.py", &["python3", "get_region.py", "x"], false),
        ("python3 get_region.py", &["python3 get_region.py"], false),
        ("python3 get_region.py", &["/tmp/python3", "get_region.py"], false),
        ("python3 get_region.py *", &["python3", "get_region.py", "a", "b c"], true),
        ("python3 get_region.py *", &["python3", "get_region.py"], false),
        ("python3 get_region.py *", &["python3", "get_region.py", "a/b"], false),
        ("python3 get_region.py a/**", &["python3", "get_region.py", "a/b/c"], true),
        ("python3 get_region.py *", &["python3", "-c", "get_region.py", "a"], false),
        ("python3 scripts/*", &["python3", "scripts/a.py", "-c"], true),
        ("python3 scripts/*", &["python3", "scripts/../a.py"], false),
        ("python3 scripts/**", &["python3", "scripts/../../a.py"], false),
        ("python3 scripts/**", &["python3", "scripts/x/a.py"], true),
        ("scripts/*", &["scripts/get.sh"], true),
        ("scripts/*", &["scripts/get.sh", "prod"], true),
        ("scripts/*", &["scripts/sub/get.sh"], false),
        ("scripts/*", &["scripts/.."], false),
        ("scripts/*", &["scripts/"], false),
        ("scripts/*", &["scripts/a", "../b"], false),
        ("scripts/*", &["scripts/a", "--file=../b"], false),
        ("scripts/**", &["scripts/a/b"], false),
        ("scripts/[!x]*", &["scripts/a"], true),
        ("scripts/[!x]*", &["scripts/x"], false),
        ("scripts/{a,b}", &["scripts/b"], true),
        ("scripts/{a,b}", &["scripts/c"], false),
        ("/opt/labels/*", &["/opt/labels/region"], true),
        ("./*", &["./region"], true),
        ("./*", &["region"], false),
        ("echo a b", &["echo", "a b"], false),
        ("echo 'a b'", &["echo", "a b"], true),
        ("echo 'a b'", &["echo", "a", "b"], false),
        ("echo 'a b'", &["echo", "'a", "b'"], false),
        ("echo '*'", &["echo", "anything but a slash"], true),
        (r"echo '\*'", &["echo", "*"], true),
        (r"echo '\*'", &["echo", "a b"], false),
        ("label-of *", &["label-of", "region"], true),
        ("label-of *", &["label-of-other", "region"], false),
        ("../tools/get", &["../tools/get"], true),
        ("sh -c 'echo prod'", &["sh", "-c", "echo prod"], true),
        ("sh -c 'echo prod'", &["sh", "-c", "echo prod; id"], false),
    ];
    for (pattern, words, expected) in table {
        let allow = match Allow::new(&argv(&[pattern])) {
            Ok(allow) => allow,
            // `scripts/**` as a program is refused, and so permits nothing.
            Err(refused) => {
                assert!(!expected, "{pattern}: {refused:?}");
                continue;
            }
        };
        assert_eq!(allow.permits(&argv(words)), expected, "{pattern}: {words:?}");
    }
    assert!(!allow(&["echo a"]).permits(&[]));
    assert!(!allow(&["scripts/*"]).permits(&argv(&[""])));
    assert!(!Allow::default().permits(&argv(&["true"])));
    assert!(allow(&["a b", "c d"]).permits(&argv(&["c", "d"])));
}

#[test]
fn patterns_that_let_anything_run_are_refused() {
    let path = "lets any program on PATH be run";
    let dir = "lets any program of that directory be run";
    let code = "run any code";
    let other = "run other programs by a wildcard";
    let above = "has a wildcard in the program's directory";
    let table = [
        ("*", path),
        ("**", path),
        ("* get.py", path),
        ("python* get.py", path),
        ("{python3,x} -c 'a'", path),
        ("?h -c 'a'", path),
        ("[a-z]* x", path),
        ("/usr/bin/*", dir),
        ("/usr//bin/./*", dir),
        ("/bin/p*", dir),
        ("/*", dir),
        ("/home/me/.venv/bin/*", dir),
        (".venv/bin/*", dir),
        ("/usr/*/python3 x", above),
        ("**/get.sh", above),
        ("scripts/**", above),
        ("scripts/{a,../../bin/sh}", above),
        ("python3 *", code),
        ("python3.12 *", code),
        ("/usr/bin/python3 *", code),
        ("python3 -c *", code),
        ("python3 -u get.py *", code),
        ("python3 *.py", code),
        ("python3 ?et.py", code),
        ("python3 {get.py,-c x}", code),
        ("python3 '-c' *", code),
        ("python3 /**", code),
        ("python3 ./*", code),
        ("sh -c *", code),
        ("bash -ec *", code),
        ("perl5.36 -e *", code),
        ("ruby *", code),
        ("node *", code),
        ("Rscript *", code),
        ("env *", other),
        ("env python3 get.py *", other),
        ("/usr/bin/env *", other),
        ("xargs *", other),
        ("sudo *", other),
        ("busybox *", other),
        ("awk *", other),
        ("gawk 'BEGIN' *", other),
        ("find . *", other),
        ("timeout 5 *", other),
        ("ssh host *", other),
        ("../tools/*", "has both a wildcard and `..`"),
        ("python3 scripts/../*", "has both a wildcard and `..`"),
        ("", "an empty pattern"),
        ("echo  a", "arguments are one space apart"),
        (" echo a", "arguments are one space apart"),
        ("echo a ", "ends in a space"),
        ("echo 'a", "has a quote that is not closed"),
        ("echo \"a b\"", "is not how a command line is written here"),
        ("echo 'a'", "is not how a command line is written here"),
        ("echo x;id", "is not how a command line is written here"),
        ("scripts/[", "is not a pattern: "),
    ];
    for (pattern, expected) in table {
        let Err(refused) = Allow::new(&argv(&["echo fine", pattern])) else {
            panic!("`{pattern}` is taken");
        };
        assert_eq!(refused.len(), 1);
        assert_eq!(refused[0].index, 1);
        let message = &refused[0].message;
        assert!(message.contains(expected), "`{pattern}`: {message}");
    }
}

/// What a configuration makes of the line that a finding names.
fn added(words: &[String]) -> Allow {
    let text = format!("allow = [{}]", Allow::line_to_add(words));
    let table: toml::Table = text.parse().unwrap();
    let patterns: Vec<String> = table["allow"].clone().try_into().unwrap();
    Allow::new(&patterns).unwrap()
}

#[test]
fn the_line_to_add_is_readable() {
    let table: [(&[&str], &str); 3] = [
        (&["python3", "get_region.py"], r#""python3 get_region.py""#),
        (&["sh", "-c", "echo *"], r#""sh -c 'echo \\*'""#),
        (&["echo", "it's", "a\nb"], r#""echo 'it'\"'\"'s' 'a\u000Ab'""#),
    ];
    for (words, expected) in table {
        assert_eq!(Allow::line_to_add(&argv(words)), expected);
    }
}

const LETTERS: &[&str] =
    &["a", "b", " ", "'", "\"", "\\", "*", "?", "[", "]", "{", "}", "\n", "/", ".."];

fn word() -> impl Strategy<Value = String> {
    let letters = prop::sample::select(LETTERS);
    prop::collection::vec(letters, 0..5).prop_map(|letters| letters.concat())
}

fn command() -> impl Strategy<Value = Vec<String>> {
    ("[a-z]{1,3}", prop::collection::vec(word(), 0..4)).prop_map(|(program, mut words)| {
        words.insert(0, program);
        words
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_two_commands_are_written_alike(left in command(), right in command()) {
        prop_assert_eq!(left == right, line(&left) == line(&right));
    }

    #[test]
    fn the_line_to_add_permits_that_command_only(command in command(), other in command()) {
        let allow = added(&command);
        prop_assert!(allow.permits(&command));
        prop_assert_eq!(allow.permits(&other), other == command);
        // Joined or split elsewhere, it is another command.
        let joined = vec![command.join(" ")];
        prop_assert_eq!(allow.permits(&joined), joined == command);
    }
}
