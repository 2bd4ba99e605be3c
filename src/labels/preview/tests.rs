//! What is said of changes, and why nobody serves a cluster.

use super::*;
use crate::labels::selector::Selectors;

type Labels = [(&'static str, &'static str)];

fn services() -> Vec<Service> {
    let one = |name: &str, key: &str, value: &str| Service {
        name: name.to_owned(),
        resources: Selectors::new(&[[(key.to_owned(), vec![value.to_owned()])].into()]).unwrap(),
    };
    vec![
        one("east", "region", "us-east-*"),
        one("west", "region", "us-west-1"),
        one("prod", "env", "prod"),
    ]
}

fn cluster(labels: &Labels) -> Registered {
    Registered {
        name: "mine".to_owned(),
        labels: labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
        origin: "dynamic".to_owned(),
        credentials: true,
        ..Registered::default()
    }
}

fn server(origin: &str) -> Server {
    Server {
        name: "mine".to_owned(),
        host_id: "0b1e".to_owned(),
        hostname: "remote.kube.proxy.teleport.cluster.local".to_owned(),
        origin: origin.to_owned(),
        ..Server::default()
    }
}

fn nothing() -> Servers {
    Servers::Known(Vec::new())
}

#[test]
fn a_change_is_said_line_by_line() {
    let said = |before: Option<&Labels>, after: Option<&Labels>| -> Vec<String> {
        let (before, after) = (before.map(cluster), after.map(cluster));
        let notes = notes(&services(), &nothing(), before.as_ref(), after.as_ref());
        notes.iter().map(ToString::to_string).collect()
    };
    let east = [("region", "us-east-2"), ("env", "prod")];
    let west = [("region", "us-west-1")];
    let none = [("region", "eu-1")];
    for (before, after, expected) in [
        (None, Some(&east[..]), &["mine → served by east, prod"][..]),
        (None, Some(&none), &["mine → no service will pick this up"]),
        (
            Some(&east[..]),
            Some(&west[..]),
            &["mine → served by west", "mine → this unregisters it from east, prod"],
        ),
        (Some(&west), None, &["mine → this unregisters it from west"]),
        (Some(&none), None, &[]),
        (Some(&west), Some(&west), &["mine → served by west"]),
    ] {
        assert_eq!(said(before, after), expected);
    }
}

#[test]
fn a_change_of_something_that_cannot_be_served() {
    let mut mine = cluster(&[("region", "us-west-1")]);
    mine.credentials = false;
    let seen = Servers::Known(vec![server("")]);
    let notes = notes(&services(), &seen, None, Some(&mine));
    let facts: Vec<Fact> = notes.into_iter().map(|note| note.fact).collect();
    assert_eq!(facts, [Fact::Clash("0b1e".to_owned()), Fact::NoCredentials]);
    assert_eq!(facts.iter().filter(|fact| fact.is_warning()).count(), 2);
}

#[test]
fn without_services_only_what_is_sure_is_said() {
    let mut mine = cluster(&[]);
    assert_eq!(notes(&[], &nothing(), None, Some(&mine)), []);
    mine.credentials = false;
    let said = notes(&[], &nothing(), Some(&mine), Some(&mine));
    assert_eq!(said, [Note { name: "mine".to_owned(), fact: Fact::NoCredentials }]);
}

#[test]
fn the_reason_why_nobody_serves_it() {
    let why = |seen: &Servers, cluster: &Registered| {
        unserved(&services(), seen, cluster).map(|why| why.to_string())
    };
    let east = cluster(&[("region", "us-east-2")]);
    let none = cluster(&[("region", "eu-1")]);
    let mut open = cluster(&[("region", "")]);
    open.open.insert("region".to_owned());
    let mut bare = east.clone();
    bare.credentials = false;
    let unknown = Servers::Unknown("what is served may not be read".to_owned());
    let theirs = Servers::Known(vec![server("config-file")]);
    let served = Servers::Known(vec![server("config-file"), server("dynamic")]);
    for (seen, cluster, expected) in [
        (&nothing(), &east, Some("east selects it and did not register it yet")),
        (&nothing(), &none, Some("no configured service selects it")),
        (&nothing(), &open, Some("no stored result yet of the dynamic label `region`")),
        (&nothing(), &bare, Some("it has no credentials")),
        (&unknown, &east, Some("unknown: what is served may not be read")),
        (&theirs, &east, Some("0b1e has a cluster of this name in its own configuration")),
        (&served, &none, None),
    ] {
        assert_eq!(why(seen, cluster).as_deref(), expected, "{seen:?}");
    }
    let why = unserved(&[], &nothing(), &east);
    assert_eq!(why, Some(Unserved::NoServices));
}

/// Who will serve it is told from labels and credentials, whoever serves it now.
#[test]
fn who_will_serve_it() {
    let said = |seen: &Servers, cluster: &Registered| {
        let Prediction { by, why_not } = predict(&services(), seen, cluster);
        (by.names.join(","), by.unknown.join(","), why_not.map(|it| it.to_string()))
    };
    let east = cluster(&[("region", "us-east-2")]);
    let mut bare = east.clone();
    bare.credentials = false;
    let mut open = cluster(&[("region", ""), ("env", "prod")]);
    open.open.insert("region".to_owned());
    let mut only_open = cluster(&[("region", "")]);
    only_open.open.insert("region".to_owned());
    let served = Servers::Known(vec![server("dynamic")]);
    let theirs = Servers::Known(vec![server("config-file")]);
    let clash = "0b1e has a cluster of this name in its own configuration";
    let missing = "no stored result yet of the dynamic label `region`";
    for (seen, cluster, names, unknown, why) in [
        (&nothing(), &east, "east", "", None),
        (&served, &bare, "", "", Some("it has no credentials")),
        (&nothing(), &open, "prod", "east,west", None),
        (&nothing(), &only_open, "", "east,west", Some(missing)),
        (&theirs, &east, "", "east", Some(clash)),
    ] {
        let expected = (names.to_owned(), unknown.to_owned(), why.map(str::to_owned));
        assert_eq!(said(seen, cluster), expected);
    }
    let none = cluster(&[("region", "eu-1")]);
    let why = "no configured service selects it".to_owned();
    assert_eq!(said(&served, &none), (String::new(), String::new(), Some(why)));
}

#[test]
fn what_is_listed_and_served_no_longer() {
    let all = |clusters: &[Registered]| -> BTreeMap<String, Registered> {
        clusters.iter().map(|it| (it.name.clone(), it.clone())).collect()
    };
    let none = all(&[cluster(&[("region", "eu-1")])]);
    let east = all(&[cluster(&[("region", "us-east-2")])]);
    let gone = all(&[]);
    let of = |services: &[Service], registered, origin: &str| {
        leftover(services, registered, &server(origin)).is_some()
    };
    assert!(of(&services(), Some(&gone), "dynamic"));
    assert!(of(&services(), Some(&none), "dynamic"));
    assert!(!of(&services(), Some(&east), "dynamic"));
    assert!(!of(&[], Some(&none), "dynamic"), "nobody said what is selected");
    assert!(!of(&services(), Some(&gone), ""), "a static cluster is not registered");
    assert!(!of(&services(), None, "dynamic"), "what is registered is not known");
}

#[test]
fn a_host_behind_a_proxy_is_called_by_its_id() {
    assert_eq!(server("").host(), "0b1e");
    let named = Server { hostname: "east".to_owned(), ..server("") };
    assert_eq!(named.host(), "east");
}
