//! `reconciler kube`: what selectors say of labels.

use serde_json::json;

use super::args::{Format, KubeCommand};
use super::error::CliError;
use super::exit::Exit;
use super::report::Streams;
use super::setup::Setup;
use crate::config::Kubernetes;
use crate::labels::Labels;
use crate::labels::selector::Matching;
use crate::labels::serve::{ServedBy, served_by};
use crate::labels::trap::is_key;

/// Version of what `--format json` prints.
const FORMAT_VERSION: u32 = 1;

/// Runs one of its commands.
///
/// # Errors
/// What is no label.
pub(super) fn run(
    setup: &Setup,
    command: &KubeCommand,
    to: &mut Streams<'_>,
) -> Result<Exit, CliError> {
    match command {
        KubeCommand::Match { labels, detailed_exitcode, format } => {
            let labels = parse(labels).map_err(CliError::usage)?;
            let answer = Answer::new(&setup.config.kubernetes, &labels);
            to.print(&match format {
                Format::Json => answer.json()?,
                Format::Text | Format::Markdown => answer.text(),
            })?;
            let certain = matches!(answer.matching, Matching::Item { .. });
            Ok(if *detailed_exitcode && !certain { Exit::Changes } else { Exit::Done })
        }
        // It needs a cluster, and has a way of its own.
        KubeCommand::Ls { format: _, quiet: _, unserved: _ } => Ok(Exit::Done),
    }
}

/// Reads `env=prod`, and `region` for a value that is not known.
fn parse(words: &[String]) -> Result<Labels, String> {
    let mut labels = Labels::new();
    for word in words {
        let (key, value) = match word.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (word.as_str(), None),
        };
        if !is_key(key) {
            return Err(format!(
                "`{key}` can be no label's name: it takes letters, digits and `/._:*-`"
            ));
        }
        if labels.insert(key.to_owned(), value).is_some() {
            return Err(format!("the label `{key}` stands there twice"));
        }
    }
    Ok(labels)
}

/// What there is to say about some labels.
struct Answer {
    matching: Matching,
    /// Absent: no service is described, so there is no telling.
    served: Option<ServedBy>,
}

impl Answer {
    fn new(kubernetes: &Kubernetes, labels: &Labels) -> Self {
        let services = &kubernetes.services;
        let served = (!services.is_empty()).then(|| served_by(services, labels));
        Self { matching: kubernetes.selectors.look(labels), served }
    }

    fn text(&self) -> String {
        let matching = match &self.matching {
            Matching::Item { index, by } => format!("matches item {index}: {by}"),
            Matching::Nothing => "no selector matches".to_owned(),
            Matching::Unknown(labels) => {
                let names: Vec<&str> = labels.iter().map(String::as_str).collect();
                format!("depends on what is not known: {}", names.join(", "))
            }
        };
        let served = match &self.served {
            None => {
                "who serves it is not known: no [[kubernetes.service]] is configured".to_owned()
            }
            Some(ServedBy { names, unknown }) => match (names.is_empty(), unknown.is_empty()) {
                (true, true) => "no service will pick this up".to_owned(),
                (false, true) => format!("served by {}", names.join(", ")),
                (true, false) => format!("may be served by {}", unknown.join(", ")),
                (false, false) => {
                    format!("served by {}; perhaps by {}", names.join(", "), unknown.join(", "))
                }
            },
        };
        format!("{matching}\n{served}\n")
    }

    fn json(&self) -> Result<String, CliError> {
        let mut value = json!({ "format_version": FORMAT_VERSION });
        let said = match &self.matching {
            Matching::Item { index, by } => json!({ "match": true, "item": index, "by": by }),
            Matching::Nothing => json!({ "match": false }),
            Matching::Unknown(labels) => json!({ "match": null, "depends_on": labels }),
        };
        let served = match &self.served {
            None => json!({ "served_by": null }),
            Some(ServedBy { names, unknown }) if unknown.is_empty() => {
                json!({ "served_by": names })
            }
            Some(ServedBy { names, unknown }) => {
                json!({ "served_by": names, "perhaps_served_by": unknown })
            }
        };
        for part in [said, served] {
            if let (Some(out), serde_json::Value::Object(part)) = (value.as_object_mut(), part) {
                out.extend(part);
            }
        }
        serde_json::to_string_pretty(&value)
            .map(|text| text + "\n")
            .map_err(|error| CliError::new(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Answer, parse};
    use crate::config::Config;

    const CONFIG: &str = r#"
[kubernetes]
resources = [
  { labels = { env = "prod", region = "us-east-2" } },
  { labels = { env = "test", region = ["us-west-1", "us-west-2"] } },
]
[[kubernetes.service]]
name = "us-east-1"
resources = [{ labels = { env = "*" } }]
[[kubernetes.service]]
name = "west"
resources = [{ labels = { region = "us-west-*" } }]
"#;

    fn answer(config: &str, words: &[&str]) -> (String, serde_json::Value) {
        let config = Config::parse(config, Path::new("r.toml")).unwrap();
        let words: Vec<String> = words.iter().copied().map(str::to_owned).collect();
        let answer = Answer::new(&config.kubernetes, &parse(&words).unwrap());
        (answer.text(), serde_json::from_str(&answer.json().unwrap()).unwrap())
    }

    #[test]
    fn answers() {
        let table = [
            (
                &["env=test", "region=us-west-1", "team=a"][..],
                "matches item 2: env=test, region=us-west-1\nserved by us-east-1, west\n",
                r#"{"format_version":1,"match":true,"item":2,"by":"env=test, region=us-west-1",
                    "served_by":["us-east-1","west"]}"#,
            ),
            (
                &["team=a"],
                "no selector matches\nno service will pick this up\n",
                r#"{"format_version":1,"match":false,"served_by":[]}"#,
            ),
            (
                &["env=prod", "region"],
                "depends on what is not known: region\nserved by us-east-1; perhaps by west\n",
                r#"{"format_version":1,"match":null,"depends_on":["region"],
                    "served_by":["us-east-1"],"perhaps_served_by":["west"]}"#,
            ),
            (
                &["region"],
                "no selector matches\nmay be served by west\n",
                r#"{"format_version":1,"match":false,"served_by":[],
                    "perhaps_served_by":["west"]}"#,
            ),
        ];
        for (words, text, json) in table {
            let json: serde_json::Value = serde_json::from_str(json).unwrap();
            assert_eq!(answer(CONFIG, words), (text.to_owned(), json), "{words:?}");
        }
        let (text, json) = answer("", &[]);
        assert!(text.starts_with("matches item 1: *=*\nwho serves it is not known"), "{text}");
        assert_eq!(json["served_by"], serde_json::Value::Null);
    }

    #[test]
    fn what_is_no_label() {
        for words in [&["=x"][..], &["größe=1"], &["a b=c"], &["a=1", "a=2"], &["a", "a=2"]] {
            let words: Vec<String> = words.iter().copied().map(str::to_owned).collect();
            assert!(parse(&words).is_err(), "{words:?}");
        }
        let labels = parse(&["a=".to_owned(), "b=c=d".to_owned(), "e".to_owned()]).unwrap();
        assert_eq!(labels["a"].as_deref(), Some(""));
        assert_eq!(labels["b"].as_deref(), Some("c=d"));
        assert_eq!(labels["e"], None);
    }
}
