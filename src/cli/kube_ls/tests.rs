//! What tsh prints, as it was seen.

use std::collections::BTreeMap;

use super::*;

fn server(name: &str, host: &str, labels: &[(&str, &str)]) -> Server {
    let labels: BTreeMap<String, String> =
        labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Server { name: name.to_owned(), host_id: host.to_owned(), labels, ..Server::default() }
}

fn view(quiet: bool, verbose: bool) -> View {
    View { format: ListFormat::Text, quiet, verbose, unserved: false }
}

#[test]
fn labels_are_in_three_groups_sorted_as_text() {
    let of =
        |labels: &[(&str, &str)], verbose| label_text(&server("x", "h", labels).labels, verbose);
    let labels = [
        ("teleport.internal/x", "1"),
        ("z", "1"),
        ("a.example.com/b", "2"),
        ("a", "3"),
        ("a-b", "4"),
        ("teleport.dev/origin", "dynamic"),
    ];
    assert_eq!(of(&labels, false), "a-b=4,a=3,z=1,a.example.com/b=2");
    assert_eq!(
        of(&labels, true),
        "a-b=4,a=3,z=1,a.example.com/b=2,teleport.dev/origin=dynamic,teleport.internal/x=1"
    );
    assert_eq!(of(&[], true), "");
}

#[test]
fn the_last_of_several_servers_counts_and_the_shown_name_sorts() {
    let servers = vec![
        server("zeta", "h1", &[("env", "old")]),
        server("zeta", "h2", &[("env", "new"), (DISCOVERED_NAME, "alpha")]),
        server("beta", "h1", &[]),
    ];
    let list = served(servers, Some("beta"));
    assert_eq!(text(&list, view(true, false)), "alpha env=new \nbeta          \n\n");
    let verbose = text(&list, view(true, true));
    assert!(verbose.starts_with("beta "), "by the unique name: {verbose}");
    let data: serde_json::Value = serde_json::from_str(&json(&list).unwrap()).unwrap();
    let expected = serde_json::json!([
        { "kube_cluster_name": "beta", "labels": null, "selected": true },
        {
            "kube_cluster_name": "zeta",
            "labels": { "env": "new", "teleport.internal/discovered-name": "alpha" },
            "selected": false,
        },
    ]);
    assert_eq!(data, expected);
    assert_eq!(json::<Served>(&[]).unwrap(), "[]");
    assert_eq!(text(&[], view(true, false)), "\n");
}

#[test]
fn the_selected_cluster_is_that_of_the_current_context() {
    let config = |current: &str, context: &str| {
        let text =
            format!("current-context: {current}\ncontexts:\n- name: mine\n  context: {context}\n");
        serde_yaml::from_str::<serde_yaml::Value>(&text).unwrap()
    };
    let extended = "{cluster: kls.test, extensions: [{name: teleport.kube.name, extension: uni}]}";
    for (current, context, expected) in [
        ("kls.test-alpha", "{}", Some("alpha")),
        ("kls.test-", "{}", None),
        ("other-alpha", "{}", None),
        ("mine", extended, Some("uni")),
        ("mine", "{cluster: kls.test}", Some("mine")),
        ("mine", "{cluster: other}", None),
        ("absent", extended, None),
    ] {
        let config = config(current, context);
        assert_eq!(selected_in(&config, "kls.test").as_deref(), expected, "{current} {context}");
    }
}

#[test]
fn yaml_is_quoted_as_go_does() {
    let labels =
        [("a", "4711"), ("b", "true"), ("c", ""), ("d", "x: 'y'"), ("e", "*x"), ("f", "x")];
    let text = yaml(&served(vec![server("n", "h", &labels)], None)).unwrap();
    for line in ["a: \"4711\"", "b: \"true\"", "c: \"\"", "e: '*x'", "f: x"] {
        assert!(text.lines().any(|it| it.trim() == line), "{line}\n{text}");
    }
    let read: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
    for (key, value) in labels {
        assert_eq!(read[0]["labels"][key].as_str(), Some(value), "{text}");
    }
}
