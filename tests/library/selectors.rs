//! Selectors against the recorded answers of Teleport's own function, the table of the facts, and
//! brute force over what is not known.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use reconciler::labels::Labels;
use reconciler::labels::selector::{Item, Matching, Selectors};

/// Keys with values.
type Pairs<'a> = &'a [(&'a str, &'a str)];

fn known(pairs: Pairs<'_>) -> Labels {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned()))).collect()
}

fn items(json: &str) -> Vec<Item> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Values {
        One(String),
        Many(Vec<String>),
    }
    let list: Vec<BTreeMap<String, Values>> = serde_json::from_str(json).unwrap();
    let values = |values: Values| match values {
        Values::One(value) => vec![value],
        Values::Many(values) => values,
    };
    let item = |item: BTreeMap<String, Values>| {
        item.into_iter().map(|(key, of)| (key, values(of))).collect()
    };
    list.into_iter().map(item).collect()
}

#[test]
fn every_recorded_answer() {
    #[derive(serde::Deserialize)]
    struct Vector {
        resources: Vec<Item>,
        labels: BTreeMap<String, String>,
        #[serde(rename = "match")]
        matches: bool,
    }
    let mut count = 0;
    for line in include_str!("../data/vectors/selectors.jsonl").lines() {
        let vector: Vector = serde_json::from_str(line).unwrap();
        let labels: Labels =
            vector.labels.into_iter().map(|(key, value)| (key, Some(value))).collect();
        let selectors = Selectors::as_teleport(&vector.resources);
        let answer = selectors.look(&labels);
        assert_eq!(matches!(answer, Matching::Item { .. }), vector.matches, "{line}");
        assert!(!matches!(answer, Matching::Unknown(_)), "{line}");
        // What is taken at load keeps its meaning.
        if let Ok(taken) = Selectors::new(&vector.resources) {
            assert_eq!(taken, selectors);
            assert_eq!(taken.look(&labels), answer);
        }
        count += 1;
    }
    assert_eq!(count, 1547);
}

const AB: &str = r#"[{"env":"prod","region":"us-east-2"},{"env":"test","region":"us-west-1"}]"#;

/// The rows of the facts: list, labels, whether it matches, whether the list is taken at load.
#[rustfmt::skip]
const ROWS: &[(&str, Pairs<'_>, bool, bool)] = &[
    (AB, &[("env", "prod"), ("region", "us-west-1")], false, true),
    (AB, &[("env", "test"), ("region", "us-west-1")], true, true),
    (AB, &[("env", "prod"), ("region", "us-east-2"), ("x", "y")], true, true),
    (r#"[{"*":"*"}]"#, &[], true, true),
    (r#"[{"*":"*","env":"prod"}]"#, &[("env", "dev")], true, true),
    (r#"[{"*":["*","x"]}]"#, &[("env", "dev")], false, true),
    (r#"[{"*":"prod"}]"#, &[("env", "prod")], false, true),
    (r#"[{"*":"prod"}]"#, &[("*", "prod")], true, true),
    (r#"[{"env":"*"}]"#, &[("env", "")], true, true),
    (r#"[{"env":"*"}]"#, &[("region", "a")], false, true),
    (r#"[{"env":["prod","staging"]}]"#, &[("env", "staging")], true, true),
    (r#"[{"env":"prod-*"}]"#, &[("env", "prod-eu")], true, true),
    (r#"[{"env":"prod-*"}]"#, &[("env", "prod-")], true, true),
    (r#"[{"env":"prod"}]"#, &[("env", "Prod")], false, true),
    (r#"[{"env":"prod"}]"#, &[("env", "production")], false, true),
    (r#"[{"env":"^(prod|staging)$"}]"#, &[("env", "staging")], true, true),
    (r#"[{"env":"^prod|staging$"}]"#, &[("env", "prod-eu")], true, true),
    (r#"[{"env":"^prod"}]"#, &[("env", "prod")], false, true),
    (r#"[{"env":"^prod"}]"#, &[("env", "^prod")], true, true),
    (r#"[{"env":"pr.d"}]"#, &[("env", "prod")], false, true),
    (r#"[{"env":"p?od"}]"#, &[("env", "prod")], false, true),
    (r#"[{"e*":"prod"}]"#, &[("env", "prod")], false, true),
    (r#"[{},{"env":"prod"}]"#, &[("env", "prod")], false, false),
    (r#"[{"env":"prod"},{}]"#, &[("env", "prod")], true, false),
    (r#"[{"env":"^[$"},{"env":"prod"}]"#, &[("env", "prod")], false, false),
    (r#"[{"env":"prod"},{"env":"^[$"}]"#, &[("env", "prod")], true, false),
    (r#"[{"env":["prod","^[$"]}]"#, &[("env", "prod")], true, false),
    (r#"[{"env":["^[$","prod"]}]"#, &[("env", "prod")], false, false),
    (r#"[{"env":[]}]"#, &[("env", "prod")], false, false),
    (r#"[{"env":""}]"#, &[("env", "")], true, true),
    (r#"[{"env":""}]"#, &[("env", "x")], false, true),
    (r#"[{"env":"a*"}]"#, &[("env", "a\nb")], false, true),
    (r#"[{"env":"*-*-2"}]"#, &[("env", "us-east-2")], true, true),
    ("[]", &[("env", "prod")], false, false),
    (r#"[{"env":"^$"}]"#, &[("env", "")], true, true),
    (r#"[{"teleport.dev/origin":"dynamic"}]"#, &[("teleport.dev/origin", "dynamic")], true, true),
    // What a dynamic label's stored result makes of its key.
    (r#"[{"region":"us-east-2"}]"#, &[("region", "")], false, true),
    (r#"[{"region":"*"}]"#, &[("region", "")], true, true),
    (r#"[{"region":"us-east-2"}]"#, &[("region", "us-east-2")], true, true),
    (r#"[{"env":"prod"}]"#, &[("env", "")], false, true),
];

#[test]
fn every_row_of_the_facts() {
    assert_eq!(ROWS.len(), 40);
    for (number, (list, pairs, matches, taken)) in (1..).zip(ROWS) {
        let list = items(list);
        let answer = Selectors::as_teleport(&list).look(&known(pairs));
        assert_eq!(matches!(answer, Matching::Item { .. }), *matches, "row {number}: {answer:?}");
        assert_eq!(Selectors::new(&list).is_ok(), *taken, "row {number}");
    }
}

#[test]
fn the_answer_says_which_item_and_by_what() {
    let selectors = Selectors::new(&items(AB)).unwrap();
    let labels = known(&[("region", "us-west-1"), ("env", "test"), ("team", "a")]);
    let by = "env=test, region=us-west-1".to_owned();
    assert_eq!(selectors.look(&labels), Matching::Item { index: 2, by });
    let by = "env=a\\nb".to_owned();
    let any = Selectors::new(&items(r#"[{"env":"*"}]"#)).unwrap();
    assert_eq!(any.look(&known(&[("env", "a\nb")])), Matching::Item { index: 1, by });
    let by = "*=*".to_owned();
    assert_eq!(Selectors::everything().look(&Labels::new()), Matching::Item { index: 1, by });
}

#[test]
fn traps_are_refused_with_an_explanation() {
    let table = [
        ("[]", "an empty list matches no cluster; write { labels = { \"*\" = \"*\" } }"),
        (
            r#"[{"a":"b"},{}]"#,
            "item 2: an item without labels turns off itself and all items after",
        ),
        (r#"[{"env":[]}]"#, "item 1: `env` has no values, so this item matches nothing; "),
        (r#"[{"env":["a","^[$"]}]"#, "item 1: `^[$` is no regular expression: a `[` is not closed"),
        (r#"[{"env":"^a++$"}]"#, "item 1: `^a++$` is no regular expression: `+` follows another"),
    ];
    for (list, expected) in table {
        let traps = Selectors::new(&items(list)).unwrap_err();
        assert_eq!(traps.len(), 1, "{list}: {traps:?}");
        let said = traps[0].to_string();
        assert!(said.starts_with(expected), "{list}\n gives {said}\n not   {expected}");
    }
}

#[test]
fn what_is_legal_and_seldom_meant_is_warned_of() {
    let table = [
        (
            r#"[{"env":"^prod|staging$"}]"#,
            "each `|` stands outside of `^` and `$`",
            "^(prod|staging)$",
        ),
        (r#"[{"env":"^prod\\$"}]"#, "has this only in a part of it", "^(prod\\)$"),
        (r#"[{"env":"^(?m)a$"}]"#, "has this only in a part of it", ""),
        (r#"[{"*":"*","env":"a"}]"#, "the other keys are ignored", "remove"),
        (r#"[{"*":["*","x"]}]"#, "`*` with values other than a single `*` is a label", ""),
        (r#"[{"*":"prod"}]"#, "`*` with values other than a single `*` is a label", ""),
        (r#"[{"e*":"prod"}]"#, "`e*` is a label of exactly that name", ""),
        (r#"[{"größe":"prod"}]"#, "`größe` can be no label's name", ""),
        (
            r#"[{"env":"^prod"}]"#,
            "`^prod` is no regular expression, but this very text",
            "^prod.*$",
        ),
        (
            r#"[{"env":"prod$"}]"#,
            "`prod$` is no regular expression, but this very text",
            "^.*prod$",
        ),
        (r#"[{"env":"p?od"}]"#, "`?` in `p?od` is itself", ""),
        (r#"[{"env":"prod|test"}]"#, "`|` in `prod|test` is itself", ""),
        (r#"[{"env":["*","a"]}]"#, "its other values are ignored", ""),
    ];
    for (list, message, hint) in table {
        let warnings = Selectors::new(&items(list)).unwrap().warnings();
        assert!(!warnings.is_empty(), "{list}");
        let said = warnings[0].to_string();
        assert!(said.contains(message) && said.contains(hint), "{list}: {said}");
    }
    for list in [
        AB,
        r#"[{"env":"*"}]"#,
        r#"[{"env":"^(a|b)$"}]"#,
        r#"[{"env":"^a$|^b$"}]"#,
        r#"[{"env":"^(?i)prod$"}]"#,
        r#"[{"*":"*"}]"#,
        r#"[{"teleport.dev/origin":"dynamic"}]"#,
    ] {
        let warnings = Selectors::new(&items(list)).unwrap().warnings();
        assert!(warnings.is_empty(), "{list}: {warnings:?}");
    }
}

#[test]
fn only_what_could_change_the_answer_is_unknown() {
    let list = r#"[{"env":"prod","region":"us-*"},{"env":"test"},{"team":["a","b"]}]"#;
    let selectors = Selectors::new(&items(list)).unwrap();
    let look = |pairs: &[(&str, &str)], unknown: &[&str]| {
        let mut labels = known(pairs);
        labels.extend(unknown.iter().map(|key| ((*key).to_owned(), None)));
        match selectors.look(&labels) {
            Matching::Item { index, by } => format!("{index}: {by}"),
            Matching::Nothing => "nothing".to_owned(),
            Matching::Unknown(labels) => {
                labels.into_iter().collect::<Vec<String>>().join(",") + "?"
            }
        }
    };
    let table: [(Pairs<'_>, &[&str], &str); 9] = [
        (&[("env", "prod")], &["region"], "region?"),
        (&[("env", "prod"), ("region", "us-1")], &["team"], "1: env=prod, region=us-1"),
        (&[("env", "test")], &["region"], "2: env=test"),
        (&[("env", "dev")], &["region"], "nothing"),
        (&[("env", "dev")], &["region", "team"], "team?"),
        (&[("env", "prod"), ("team", "b")], &["region"], "3: team=b"),
        (&[("region", "eu")], &["env"], "env?"),
        (&[("region", "us-1")], &["env", "other"], "env?"),
        (&[], &["other"], "nothing"),
    ];
    for (pairs, unknown, expected) in table {
        assert_eq!(look(pairs, unknown), expected, "{pairs:?} {unknown:?}");
    }
    let everything = Selectors::everything();
    assert!(matches!(
        everything.look(&BTreeMap::from([("a".to_owned(), None)])),
        Matching::Item { .. }
    ));
}

const KEYS: &[&str] = &["a", "b", "c", "*"];
const VALUES: &[&str] = &["", "x", "y", "xy", "x*", "*", "^x$", "^[xy]+$", "^$", "*y"];
const BAD: &str = "^[$";
/// What a label can turn out to be: enough to make each of the values match and fail.
const CANDIDATES: &[Option<&str>] = &[None, Some(""), Some("x"), Some("y"), Some("xy"), Some("q")];

fn arbitrary_items(bad: bool) -> impl Strategy<Value = Vec<Item>> {
    let mut values: Vec<&str> = VALUES.to_vec();
    if bad {
        values.push(BAD);
    }
    let least = usize::from(!bad);
    let value = prop::sample::select(values).prop_map(str::to_owned);
    let key = prop::sample::select(KEYS).prop_map(str::to_owned);
    let item = prop::collection::btree_map(key, prop::collection::vec(value, least..4), least..4);
    prop::collection::vec(item, 1..4)
}

fn arbitrary_labels() -> impl Strategy<Value = Labels> {
    let key = prop::sample::select(KEYS).prop_map(str::to_owned);
    let value = prop::sample::select(&["", "x", "y", "xy", "q"][..]).prop_map(str::to_owned);
    prop::collection::btree_map(key, prop::option::weighted(0.6, value), 0..5)
}

/// The answers over all that the unknown labels can turn out to be, and the labels on which they
/// depend.
fn brute_force(selectors: &Selectors, labels: &Labels) -> (bool, bool, Vec<String>) {
    let unknown: Vec<&String> =
        labels.iter().filter(|(_, value)| value.is_none()).map(|(key, _)| key).collect();
    let mut answers = BTreeMap::new();
    let cases = CANDIDATES.len().pow(u32::try_from(unknown.len()).unwrap());
    for case in 0..cases {
        let mut digits = Vec::new();
        let mut rest = case;
        let mut full = labels.clone();
        for key in &unknown {
            digits.push(rest % CANDIDATES.len());
            match CANDIDATES[rest % CANDIDATES.len()] {
                Some(value) => full.insert((*key).clone(), Some(value.to_owned())),
                None => full.remove(*key),
            };
            rest /= CANDIDATES.len();
        }
        answers.insert(digits, matches!(selectors.look(&full), Matching::Item { .. }));
    }
    let decisive = (0..unknown.len()).filter(|&at| {
        answers.iter().any(|(digits, answer)| {
            (0..CANDIDATES.len()).any(|other| {
                let mut changed = digits.clone();
                changed[at] = other;
                answers[&changed] != *answer
            })
        })
    });
    let decisive = decisive.map(|at| unknown[at].clone()).collect();
    (answers.values().any(|a| *a), answers.values().any(|a| !a), decisive)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn three_values_are_what_brute_force_finds(
        list in arbitrary_items(false),
        labels in arbitrary_labels(),
    ) {
        let selectors = Selectors::new(&list).unwrap();
        let (yes, no, decisive) = brute_force(&selectors, &labels);
        match selectors.look(&labels) {
            Matching::Item { index, by } => {
                prop_assert!(yes && !no);
                prop_assert!(!by.is_empty() && index <= list.len());
                // The item that is named is alone enough.
                let alone = Selectors::new(&list[index - 1..index]).unwrap();
                let matches = matches!(alone.look(&labels), Matching::Item { .. });
                prop_assert!(matches);
            }
            Matching::Nothing => prop_assert!(no && !yes),
            Matching::Unknown(labels) => {
                prop_assert!(yes && no, "nothing depends on {labels:?}");
                prop_assert!(decisive.iter().all(|key| labels.contains(key)));
            }
        }
    }

    #[test]
    fn nothing_certain_is_said_wrongly_of_lists_with_traps(
        list in arbitrary_items(true),
        labels in arbitrary_labels(),
    ) {
        let selectors = Selectors::as_teleport(&list);
        let (yes, no, _) = brute_force(&selectors, &labels);
        match selectors.look(&labels) {
            Matching::Item { .. } => prop_assert!(yes && !no),
            Matching::Nothing => prop_assert!(no && !yes),
            Matching::Unknown(_) => {}
        }
    }
}

/// What the `regexp` of Go 1.26 said of expressions, by hand and at random: whether it takes
/// them, and which of the values match.
#[test]
fn expressions_are_gos() {
    #[derive(serde::Deserialize)]
    struct Head {
        values: Vec<String>,
    }
    #[derive(serde::Deserialize)]
    struct Row {
        expr: String,
        /// Absent: Go refuses it.
        matches: Option<Vec<usize>>,
    }
    let text = include_str!("../data/vectors/go_regexp.jsonl");
    let (head, rows) = text.split_once('\n').unwrap();
    let Head { values } = serde_json::from_str(head).unwrap();
    let (mut count, mut wrong) = (0, Vec::new());
    for line in rows.lines() {
        let Row { expr, matches } = serde_json::from_str(line).unwrap();
        count += 1;
        let item = Item::from([("k".to_owned(), vec![expr.clone()])]);
        let found = Selectors::new(&[item]).ok().map(|selectors| {
            let is = |value: &String| {
                let labels = known(&[("k", value)]);
                matches!(selectors.look(&labels), Matching::Item { .. })
            };
            (0..values.len()).filter(|&at| is(&values[at])).collect::<Vec<usize>>()
        });
        if found != matches {
            let shown = |at: Option<Vec<usize>>| {
                at.map(|at| at.into_iter().map(|at| &values[at]).collect::<Vec<_>>())
            };
            wrong.push(format!("{expr}: {:?}, Go: {:?}", shown(found), shown(matches)));
        }
    }
    assert!(count > 1600, "only {count} rows");
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
