//! `reconciler.toml`: values, findings, places.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reconciler::adapter::teleport::Source;
use reconciler::config::{Config, ControlPlane, Kubernetes, Search, StateFiles};
use reconciler::labels::selector::{Item, Selectors};
use reconciler::labels::{Mode, OnFailure};

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(text, Path::new("conf/r.toml")).map_err(|error| error.to_string())
}

const FULL: &str = r#"
[agent]
name = "prod-1"
[source]
path = "desired"
include = ["*.yaml"]
exclude = []
settle = "1s"
resync = "1h30m"
[control_plane]
kind = "embedded"
provision = "0s"
lag = "1s"
[kubernetes]
resources = [
  { labels = { env = "prod", region = ["us-east-1", "us-east-2"] } },
  { labels = { team = "^(a|b)$" } },
]
[kubernetes.dynamic_labels]
mode = "forward"
allow = ["python3 get_region.py *", "scripts/*"]
timeout = "5s"
on_failure = "drop"
environment = ["AWS_REGION"]
[[kubernetes.service]]
name = "east"
resources = [{ labels = { region = "us-east-*" } }]
[workload_clusters]
poll = "10s"
timeout = "1h"
[safety]
max_delete_percent = 100
max_delete_free = 0
confirm = ["role", "kube_cluster"]
prune_delay = "0s"
[state]
path = "/var/lib/reconciler/state.db"
"#;

#[test]
fn every_key_is_read() {
    let config = parse(FULL).unwrap();
    assert_eq!(config.agent.name, "prod-1");
    assert_eq!(config.source.path, Path::new("conf/desired"));
    assert_eq!(config.source.include, ["*.yaml"]);
    assert!(config.source.exclude.is_empty());
    assert_eq!(config.source.settle, Duration::from_secs(1));
    assert_eq!(config.source.resync, Duration::from_mins(90));
    let ControlPlane::Embedded { provision, lag, faults } = config.control_plane else {
        panic!("the embedded one is configured");
    };
    assert_eq!((provision, lag), (Duration::ZERO, Duration::from_secs(1)));
    assert_eq!(faults, "");
    assert_eq!(config.workload_clusters.poll, Duration::from_secs(10));
    assert_eq!(config.workload_clusters.timeout, Duration::from_hours(1));
    assert_eq!((config.safety.max_delete_percent, config.safety.max_delete_free), (100, 0));
    let confirm: Vec<&str> = config.safety.confirm.iter().map(|kind| kind.as_str()).collect();
    assert_eq!(confirm, ["role", "kube_cluster"]);
    assert_eq!(config.safety.prune_delay, Duration::ZERO);
    assert_eq!(config.state.path.as_deref(), Some(Path::new("/var/lib/reconciler/state.db")));
}

#[test]
fn a_real_teleport() {
    let text = "[agent]\nname = \"a\"\n[control_plane]\nkind = \"teleport\"\n\
                address = \"parent.teleport.sh:443\"\nca_file = \"roots.pem\"\n";
    let file = parse(&format!("{text}identity_file = \"/var/lib/tbot/identity\"")).unwrap();
    let triple = parse(&format!("{text}certificate = \"c\"\nkey = \"k\"\nca = \"a\"")).unwrap();
    let at = |name: &str| PathBuf::from("conf").join(name);
    for (config, expected) in [
        (file, Source::File(PathBuf::from("/var/lib/tbot/identity"))),
        (triple, Source::Triple { certificate: at("c"), key: at("k"), ca: at("a") }),
    ] {
        let ControlPlane::Teleport { address, credentials, ca_file } = config.control_plane else {
            panic!("a real one is configured");
        };
        assert_eq!(address.to_string(), "parent.teleport.sh:443");
        assert_eq!(credentials, expected);
        assert_eq!(ca_file, Some(at("roots.pem")));
    }
}

#[test]
fn an_empty_file_is_the_defaults() {
    let config = parse("").unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(config.safety.confirm.len(), 1, "workload clusters wait for a person");
}

#[test]
fn findings() {
    let table = [
        ("[agnet]", "1:2: unknown table `agnet`; did you mean `agent`?"),
        ("[agent]\nnmae = \"x\"", "2:1: unknown key `nmae` in [agent]; did you mean `name`?"),
        (
            "[workload_clusters]\ninterval = \"1s\"",
            "2:1: unknown key `interval` in [workload_clusters]; known: `poll`, `timeout`",
        ),
        ("agent = 1", "1:9: `agent` must be a table"),
        ("[agent]\nname = 1", "2:8: expected a string"),
        (
            "[agent]\nname = \"Größe\"",
            "2:8: `Größe` is not a valid agent name; use up to 64 lower-case letters, digits, `-`, \
             `_` and `.`, starting and ending with a letter or digit",
        ),
        ("[source]\npath = \"\"", "2:8: the path is empty"),
        ("[source]\ninclude = \"x\"", "2:11: expected a list: [\"…\"]"),
        ("[source]\ninclude = [\"ä\", \"[a\"]", "2:17: `[a` is not a valid pattern: "),
        (
            "[source]\ninclude = [\"./**/*.yaml\"]",
            "2:12: `./**/*.yaml` can match nothing; patterns are relative to the source directory; \
             remove the leading `./`",
        ),
        ("[source]\ninclude = [\"/**/*.yaml\"]", "2:12: `/**/*.yaml` can match nothing; "),
        ("[source]\nexclude = [\"../x.yaml\"]", "2:12: `../x.yaml` can match nothing; "),
        (
            "[source]\nsettle = 250",
            "2:10: expected a duration; use Go syntax in quotes: \"250ms\", \"30s\", \"1h30m\"",
        ),
        (
            "[source]\nsettle = \"5 minutes\"",
            "2:10: `5 minutes` is not a valid duration; use Go syntax",
        ),
        ("[source]\nsettle = \"-1s\"", "2:10: `-1s` must not be negative"),
        ("[source]\nresync = \"1ms\"", "2:10: `1ms` is below the minimum of 100ms"),
        (
            "[control_plane]\nkind = \"embeded\"",
            "2:8: unknown control plane `embeded`; did you mean `embedded`?",
        ),
        ("[http]\nlisten = \"x\"", "1:2: [http] is not supported yet"),
        ("[secrets]\nroots = \"/x\"", "2:9: expected a list: [\"…\"]"),
        ("[secrets]\ndir = \"\"", "2:7: the path is empty"),
        (
            "[workload_clusters.children]\ntbot = \"tbot\"",
            "1:20: `workload_clusters.children` is not supported yet",
        ),
        ("[safety]\nmax_delete_percent = 101", "2:22: expected an integer from 0 to 100"),
        ("[safety]\nmax_delete_percent = -1", "2:22: expected an integer from 0 to 100"),
        ("[safety]\nmax_delete_free = 1.5", "2:19: expected an integer from 0 to 4294967295"),
        ("[safety]\nconfirm = [\"roles\"]", "2:12: unknown kind `roles`; did you mean `role`?"),
        ("[agent]\nname = \"a\"\nname = \"b\"", "3:1: duplicate key"),
    ];
    judge(&table);
}

/// Each text has exactly one finding, which begins as said.
fn judge(table: &[(&str, &str)]) {
    for (text, expected) in table {
        let error = parse(text).err().unwrap_or_default();
        let expected = format!("conf/r.toml:{expected}");
        assert!(error.starts_with(&expected), "{text}\n  gives {error}\n  not   {expected}");
        assert!(!error.contains('\n'), "one finding: {error}");
    }
}

#[test]
fn findings_about_the_control_plane() {
    let table = [
        (
            "[control_plane]\naddress = \"a:443\"",
            "2:11: `address` only applies to `kind = \"teleport\"`; add `kind = \"teleport\"` to [control_plane]",
        ),
        (
            "[agent]\nname = \"a\"\n[control_plane]\nkind = \"teleport\"\nidentity_file = \"i\"",
            "4:8: `address` is missing; set `address = \"host:port\"`",
        ),
        (
            "[agent]\nname = \"a\"\n[control_plane]\nkind = \"teleport\"\naddress = \"a\"",
            "4:8: credentials are missing; set either `identity_file`, or all of `certificate`, \
             `key` and `ca`",
        ),
        (
            "[agent]\nname = \"a\"\n[control_plane]\nkind = \"teleport\"\naddress = \"a\"\n\
             certificate = \"c\"\nkey = \"k\"",
            "4:8: `certificate`, `key` and `ca` must be set together; ",
        ),
        (
            "[agent]\nname = \"a\"\n[control_plane]\nkind = \"teleport\"\naddress = \"a\"\n\
             identity_file = \"i\"\nca = \"k\"",
            "4:8: more than one credential is set; ",
        ),
        (
            "[agent]\nname = \"a\"\n[control_plane]\nkind = \"teleport\"\naddress = \"a:b\"\n\
             identity_file = \"i\"",
            "5:11: `a:b` is not an address; write `host` or `host:port`",
        ),
        (
            "[agent]\nname = \"a\"\n[control_plane]\nkind = \"teleport\"\naddress = \"a\"\n\
             identity_file = \"i\"\nlag = \"1s\"",
            "7:7: `lag` only applies to `kind = \"embedded\"`",
        ),
        (
            "[control_plane]\nkind = \"teleport\"\naddress = \"a\"\nidentity_file = \"i\"",
            "2:8: `agent.name` is required with `kind = \"teleport\"`; set `name = \"…\"` in [agent]",
        ),
    ];
    judge(&table);
}

#[test]
fn kubernetes() {
    let config = parse(FULL).unwrap();
    let Kubernetes { selectors, dynamic_labels, services } = config.kubernetes;
    let item = |pairs: &[(&str, &[&str])]| -> Item {
        let values = |values: &[&str]| values.iter().copied().map(str::to_owned).collect();
        pairs.iter().map(|(key, of)| ((*key).to_owned(), values(of))).collect()
    };
    let expected = [
        item(&[("env", &["prod"]), ("region", &["us-east-1", "us-east-2"])]),
        item(&[("team", &["^(a|b)$"])]),
    ];
    assert_eq!(selectors.items(), expected);
    assert_eq!(dynamic_labels.mode, Mode::Forward);
    assert_eq!(dynamic_labels.on_failure, OnFailure::Drop);
    assert_eq!(dynamic_labels.timeout, Duration::from_secs(5));
    assert_eq!(dynamic_labels.environment, ["AWS_REGION"]);
    assert!(dynamic_labels.allow.permits(&["scripts/x".to_owned()]));
    assert_eq!(services.len(), 1);
    assert_eq!(services[0].name, "east");
    assert_eq!(services[0].resources.items(), [item(&[("region", &["us-east-*"])])]);
    assert!(config.warnings.is_empty());

    let absent = parse("").unwrap().kubernetes;
    assert_eq!(absent.selectors, Selectors::everything());
    assert_eq!(absent.dynamic_labels.mode, Mode::Resolve);
    assert_eq!(absent.dynamic_labels.on_failure, OnFailure::KeepLast);
    assert_eq!(absent.dynamic_labels.timeout, Duration::from_secs(30));
    assert!(absent.dynamic_labels.allow.is_empty());

    let tables = parse("[[kubernetes.resources]]\nlabels.env = \"prod\"").unwrap();
    assert_eq!(tables.kubernetes.selectors.items(), [item(&[("env", &["prod"])])]);
}

#[test]
fn findings_about_kubernetes() {
    let head = "[kubernetes]\nresources = ";
    let resources = [
        ("\"x\"", "2:13: `resources` must be a list; write [{ labels = { env = \"prod\" } }]"),
        ("[]", "2:13: an empty list matches no cluster; "),
        ("[1]", "2:14: an item of `resources` must be a table"),
        ("[{}]", "2:14: an item without labels turns off itself and all items after it; "),
        ("[{ labels = {} }]", "2:14: an item without labels turns off itself"),
        ("[{ env = \"a\" }]", "2:16: unknown key `env` in an item of `resources`; nest labels one"),
        ("[{ labels = 1 }]", "2:25: `labels` must be a table"),
        ("[{ labels = { env = 1 } }]", "2:33: expected a string"),
        ("[{ labels = { env = [\"a\", 1] } }]", "2:39: expected a string"),
        ("[{ labels = { env = [] } }]", "2:27: `env` has no values"),
        (
            "[{ labels = { env = [\"a\", \"^[$\"] } }]",
            "2:39: `^[$` is no regular expression: a `[` is not closed; Go's syntax counts here",
        ),
    ];
    for (text, expected) in resources {
        judge(&[(&format!("{head}{text}"), expected)]);
    }
    let dynamic = [
        ("mode = \"resolv\"", "2:8: unknown mode `resolv`; did you mean `resolve`?"),
        ("on_failure = \"x\"", "2:14: unknown on_failure `x`; known: `keep-last`, `drop`"),
        ("timeout = \"1ms\"", "2:11: `1ms` is below the minimum of 100ms"),
        (
            "timout = \"1s\"",
            "2:1: unknown key `timout` in [kubernetes.dynamic_labels]; did you mean",
        ),
        ("allow = [\"scripts/*\", \"python3 *\"]", "2:23: `python3 *` lets `python3` run any code"),
        ("environment = [\"A\", \"B=c\"]", "2:21: `B=c` is not a valid variable name; list"),
    ];
    for (text, expected) in dynamic {
        judge(&[(&format!("[kubernetes.dynamic_labels]\n{text}"), expected)]);
    }
    let item = "resources = [{ labels = { a = \"b\" } }]\n";
    let service = "[[kubernetes.service]]\n";
    let named = format!("{service}name = \"x\"\n{item}");
    judge(&[
        (
            "[kubernetes]\nresource = []",
            "2:1: unknown key `resource` in [kubernetes]; did you mean `res",
        ),
        ("[kubernetes]\ndynamic_labels = 1", "2:18: `kubernetes.dynamic_labels` must be a table"),
        (
            "[kubernetes]\nservice = 1",
            "2:11: `kubernetes.service` must be a list of tables; write [[kubernetes.",
        ),
        (&format!("{service}{item}"), "1:1: `name` is missing"),
        (&format!("{service}name = \"x\""), "1:1: `resources` is missing; copy it"),
        (&format!("{named}{named}"), "4:1: duplicate service `x`"),
        (
            &format!("{named}nmae = 1"),
            "4:1: unknown key `nmae` in [[kubernetes.service]]; did you mean",
        ),
    ]);
}

#[test]
fn what_is_seldom_meant_is_a_warning() {
    let text = "[kubernetes]\nresources = [{ labels = { env = [\"a\", \"^prod|staging$\"] } }]";
    let config = parse(text).unwrap();
    let warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 1);
    let expected = "conf/r.toml:2:39: `^prod|staging$`: each `|` stands outside of `^` and `$`";
    assert!(warnings[0].starts_with(expected), "{warnings:?}");
}

#[test]
fn all_findings_come_at_once_and_in_order() {
    let error =
        parse("[state]\npaht = 1\n[agent]\nname = \"!\"\n[source]\nsettle = \"x\"").unwrap_err();
    let lines: Vec<&str> = error.lines().filter_map(|line| line.get(..14)).collect();
    assert_eq!(lines, ["conf/r.toml:2:", "conf/r.toml:4:", "conf/r.toml:6:"]);
}

#[test]
fn the_first_place_that_applies_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| {
        let path = dir.path().join(name);
        fs::write(&path, format!("[agent]\nname = \"{name}\"")).unwrap();
        path
    };
    let (option, variable, usual) = (file("option"), file("variable"), file("usual"));
    let absent = dir.path().join("absent");
    let name = |option: Option<&PathBuf>, variable: Option<&PathBuf>, usual: &[&Path]| {
        let search = Search {
            option: option.map(PathBuf::as_path),
            variable: variable.map(PathBuf::as_path),
            usual,
        };
        Config::load(&search).map(|config| config.agent.name).map_err(|error| error.to_string())
    };
    let usual: &[&Path] = &[&absent, &usual];
    assert_eq!(name(Some(&option), Some(&variable), usual).unwrap(), "option");
    assert_eq!(name(None, Some(&variable), usual).unwrap(), "variable");
    assert_eq!(name(None, None, usual).unwrap(), "usual");
    assert_eq!(name(None, None, &[&absent]).unwrap(), "reconciler");
    let error = name(Some(&absent), Some(&variable), usual).unwrap_err();
    assert!(error.contains("absent`: No such file"), "{error}");
    assert!(name(None, Some(&absent), usual).is_err());
}

#[test]
fn where_the_state_is() {
    let config = Config::default();
    let files = StateFiles::beside(config.state_file(Path::new("/srv/repo/desired-state"), None));
    assert_eq!(files.state, Path::new("/srv/repo/.reconciler/state.db"));
    assert_eq!(files.plane, Path::new("/srv/repo/.reconciler/plane.db"));
    assert_eq!(files.socket, Path::new("/srv/repo/.reconciler/reconciler.sock"));
    let dirs = Path::new("/var/lib/reconciler:/var/lib/other");
    let files = StateFiles::beside(config.state_file(Path::new("x"), Some(dirs)));
    assert_eq!(files.state, Path::new("/var/lib/reconciler/state.db"));
    let files = StateFiles::beside(
        parse(FULL).unwrap().state_file(Path::new("x"), Some(Path::new("/elsewhere"))),
    );
    assert_eq!(files.state, Path::new("/var/lib/reconciler/state.db"));
}

/// What stands in comments in one table of the example, as if it were in force.
fn uncommented(table: &str) -> String {
    let example = include_str!("../../examples/reconciler.toml");
    let title = format!("[{table}]");
    let lines = example.lines().skip_while(|line| *line != title).skip(1);
    let lines = lines.take_while(|line| !line.starts_with('['));
    let is_value = |line: &&str| {
        let first = line.split([' ', '=']).next().unwrap_or("");
        let is_key = !first.is_empty() && first.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        (is_key && line.contains(" = ")) || line.starts_with(['[', ']']) || line.starts_with("  {")
    };
    lines.filter_map(|line| line.strip_prefix("# ")).filter(is_value).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_is_the_defaults_and_has_every_key() {
    let example = include_str!("../../examples/reconciler.toml");
    let mut config = Config::parse(example, Path::new("reconciler.toml")).unwrap();
    let everything = Selectors::new(&[Item::from([("*".into(), vec!["*".into()])])]).unwrap();
    assert_eq!(std::mem::take(&mut config.warnings), []);
    assert_eq!(config.kubernetes.selectors, everything);
    // The others are written as the path that is the default.
    assert_eq!(config.state.path.take().as_deref(), Some(Path::new(".reconciler/state.db")));
    let default = Config::default();
    config.kubernetes.selectors = default.kubernetes.selectors.clone();
    config.file = None;
    assert_eq!(config, default);

    let teleport = uncommented("control_plane");
    let config = parse(&format!("[agent]\nname = \"a\"\n[control_plane]\n{teleport}")).unwrap();
    assert!(matches!(config.control_plane, ControlPlane::Teleport { .. }), "{teleport}");
    let labels = uncommented("kubernetes");
    let config = parse(&format!("[kubernetes]\n{labels}")).unwrap();
    assert_ne!(config.kubernetes.selectors, everything, "{labels}");
    let service = uncommented("kubernetes.dynamic_labels");
    let config = parse(&service).unwrap();
    assert_eq!(config.kubernetes.services.len(), 1, "{service}");

    let full: toml::Table = toml::from_str(FULL).unwrap();
    let mut keys = vec!["faults", "address", "identity_file", "ca_file", "dir", "roots"];
    keys.extend(["certificate", "key", "ca"]);
    for table in full.values() {
        keys.extend(table.as_table().unwrap().keys().map(String::as_str));
    }
    for key in keys {
        let is_there = |line: &str| {
            let line = line.trim_start_matches(['#', ' ']).trim_start_matches(['[', ']']);
            line.starts_with(&format!("{key} =")) || line.contains(&format!("kubernetes.{key}]"))
        };
        assert!(example.lines().any(is_there), "{key}");
    }
}
