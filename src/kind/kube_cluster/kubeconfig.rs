//! What must be in a kubeconfig that another host is to use. Findings name places inside of it
//! and never what stands there.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::kind::check::{at, filled, items};
use crate::kind::codes;
use crate::manifest::codes::CODES;
use crate::manifest::yaml::{self, Parsed};
use crate::model::tree::NodeValue;
use crate::model::{Code, FieldPath, Findings, Node, Scalar, Severity};

/// One thing about a kubeconfig.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// Which rule.
    pub code: Code,
    /// The place inside, `users[0].user.tokenFile`; empty for the whole.
    pub path: String,
    /// Its first byte in the kubeconfig.
    pub offset: u32,
    /// What is wrong. No content.
    pub message: String,
    /// What to do.
    pub hint: &'static str,
}

/// The files that a cluster and a user may refer to, and the fields that hold the same inside.
const CLUSTER_FILES: &[(&str, &str)] = &[("certificate-authority", "certificate-authority-data")];
/// See [`CLUSTER_FILES`].
const USER_FILES: &[(&str, &str)] = &[
    ("client-certificate", "client-certificate-data"),
    ("client-key", "client-key-data"),
    ("tokenFile", "token"),
];

/// What `kubectl` does about files, and about contexts that are not needed.
const FLATTEN: &str = "make it with `kubectl config view --raw --minify --flatten`";

/// Checks the content of a kubeconfig.
pub fn check(content: &[u8]) -> Vec<Finding> {
    let mut checker = Checker { found: Vec::new() };
    checker.content(content);
    checker.found.sort_by_key(|finding| finding.offset);
    checker.found
}

/// A kubeconfig of one context, with one cluster and a user who has a token.
pub fn with_token(
    context: &str,
    cluster: &serde_json::Value,
    user: &str,
    token: &str,
) -> serde_json::Value {
    serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": context,
        "clusters": [{ "name": context, "cluster": cluster }],
        "contexts": [{ "name": context, "context": { "cluster": context, "user": user } }],
        "users": [{ "name": user, "user": { "token": token } }],
    })
}

struct Checker {
    found: Vec<Finding>,
}

/// A node and how it is reached.
#[derive(Clone)]
struct Spot<'a> {
    node: &'a Node<'a>,
    path: FieldPath,
}

impl Spot<'_> {
    fn key(&self, key: &str) -> Option<Self> {
        let node = filled(self.node, &[key])?;
        Some(Self { node, path: self.path.key(key) })
    }
}

impl Checker {
    fn add(
        &mut self,
        severity: Severity,
        code: Code,
        spot: &Spot<'_>,
        message: impl Into<String>,
        hint: &'static str,
    ) {
        self.found.push(Finding {
            severity,
            code,
            path: spot.path.to_string(),
            offset: spot.node.span.start,
            message: message.into(),
            hint,
        });
    }

    fn whole(&mut self, offset: u32, message: impl Into<String>, hint: &'static str) {
        self.found.push(Finding {
            severity: Severity::Error,
            code: codes::KUBECONFIG,
            path: String::new(),
            offset,
            message: message.into(),
            hint,
        });
    }

    fn content(&mut self, content: &[u8]) {
        let hint = "give the content of a kubeconfig file";
        let Ok(text) = std::str::from_utf8(content) else {
            return self.whole(0, "it is not text (UTF-8)", hint);
        };
        let mut out = Vec::new();
        let mut findings = Findings { path: "".into(), out: &mut out };
        let parsed = yaml::parse(text, 0, &mut findings);
        let root = match parsed {
            Parsed::Tree(root) => root,
            Parsed::Empty => return self.whole(0, "it is empty", hint),
            Parsed::Broken => return self.broken(&out),
        };
        // Our reader's own messages may quote what stands there; the rule's words do not.
        if out.iter().any(|finding| finding.severity == Severity::Error) {
            return self.broken(&out);
        }
        let spot = Spot { node: &root, path: FieldPath::default() };
        if !matches!(root.value, NodeValue::Map(_)) {
            let packed: String = text.split_whitespace().collect();
            let twice = STANDARD.decode(packed).is_ok();
            let hint = if twice { "it seems to be encoded twice" } else { hint };
            return self.whole(root.span.start, "it is not a mapping", hint);
        }
        if filled(&root, &["kind"]).is_some_and(|kind| kind.text() != Some("Config"))
            || filled(&root, &["apiVersion"]).is_some_and(|version| version.text() != Some("v1"))
        {
            return self.whole(root.span.start, "it is not of kind `Config`, version `v1`", hint);
        }
        self.contexts(&spot);
    }

    fn broken(&mut self, findings: &[crate::model::Diagnostic]) {
        let first = findings.iter().find(|finding| finding.severity == Severity::Error);
        let meaning = first
            .and_then(|first| CODES.iter().find(|rule| rule.code == first.code))
            .map_or("The text is not YAML", |rule| rule.meaning);
        let offset = first.map_or(0, |first| first.at.start);
        self.whole(offset, format!("it cannot be read ({meaning})"), "mend it there");
    }

    fn contexts(&mut self, root: &Spot<'_>) {
        let hint = "set it with `kubectl config use-context NAME`";
        let Some(current) = root.key("current-context") else {
            let message = "there is no `current-context`; agents would take any";
            return self.add(Severity::Error, codes::KUBECONFIG_CONTEXT, root, message, hint);
        };
        let Some(context) = entry(root, "contexts", "context", current.node) else {
            let message = "the current context does not exist";
            return self.add(Severity::Error, codes::KUBECONFIG_CONTEXT, &current, message, hint);
        };
        let others = items(at(root.node, &["contexts"])).len().saturating_sub(1);
        if others > 0 {
            let message = format!("it carries {others} contexts beside the current one");
            let spot = root.key("contexts").unwrap_or_else(|| root.clone());
            self.add(Severity::Warning, codes::KUBECONFIG_SURPLUS, &spot, message, FLATTEN);
        }
        for (list, one) in [("clusters", "cluster"), ("users", "user")] {
            let hint = "make a new one with `reconciler kubeconfig create`";
            let Some(name) = context.key(one) else {
                let message = format!("the current context names no {one}");
                self.add(Severity::Error, codes::KUBECONFIG_CONTEXT, &context, message, hint);
                continue;
            };
            match entry(root, list, one, name.node) {
                Some(spot) if one == "cluster" => self.cluster(&spot),
                Some(spot) => self.user(&spot),
                None => {
                    let message = format!("the {one} of the current context does not exist");
                    self.add(Severity::Error, codes::KUBECONFIG_CONTEXT, &name, message, hint);
                }
            }
        }
    }

    fn cluster(&mut self, cluster: &Spot<'_>) {
        match cluster.key("server") {
            None => {
                let message = "there is no `server`";
                let hint = "give the address of the API server";
                self.add(Severity::Error, codes::KUBECONFIG_SERVER, cluster, message, hint);
            }
            Some(server) => {
                let text = server.node.text().unwrap_or_default();
                if text.starts_with("http://") {
                    let message = "the API server is addressed without TLS";
                    let hint = "use `https://`";
                    self.add(Severity::Warning, codes::KUBECONFIG_SERVER, &server, message, hint);
                }
                if is_loopback(text) {
                    let message = "the API server is addressed as the serving host itself";
                    let hint = "give an address that Kubernetes Services can reach";
                    self.add(Severity::Warning, codes::KUBECONFIG_SERVER, &server, message, hint);
                }
            }
        }
        self.files(cluster, CLUSTER_FILES);
        if let Some(skip) = cluster.key("insecure-skip-tls-verify")
            && matches!(&skip.node.value, NodeValue::Scalar { scalar: Scalar::Bool(true), .. })
        {
            let message = "the API server's certificate is not verified";
            let hint = "give `certificate-authority-data`";
            self.add(Severity::Warning, codes::KUBECONFIG_SERVER, &skip, message, hint);
        }
    }

    fn user(&mut self, user: &Spot<'_>) {
        self.files(user, USER_FILES);
        let mut ways = 0;
        for (field, what) in [("exec", "runs a program"), ("auth-provider", "uses a provider")] {
            if let Some(spot) = user.key(field) {
                ways += 1;
                let message = format!("it {what} that the serving host may not have");
                let hint = "make one with a token: `reconciler kubeconfig create`";
                self.add(Severity::Warning, codes::KUBECONFIG_PROGRAM, &spot, message, hint);
            }
        }
        let has = |field: &str| user.key(field).is_some();
        let certificate = has("client-certificate-data") || has("client-certificate");
        let key = has("client-key-data") || has("client-key");
        if certificate != key {
            let (there, missing) = if certificate {
                ("a client certificate", "`client-key-data`")
            } else {
                ("a client key", "`client-certificate-data`")
            };
            let message = format!("there is {there} without {missing}");
            self.add(Severity::Error, codes::KUBECONFIG_CREDENTIALS, user, message, FLATTEN);
        }
        ways += usize::from(certificate || key);
        ways += usize::from(has("token") || has("tokenFile"));
        ways += usize::from(has("username"));
        if ways == 0 {
            let message = "the user of the current context has no credentials";
            let hint = "make one with a token: `reconciler kubeconfig create`";
            self.add(Severity::Warning, codes::KUBECONFIG_CREDENTIALS, user, message, hint);
        }
    }

    /// No files; and what stands inside instead can be decoded.
    fn files(&mut self, spot: &Spot<'_>, fields: &[(&str, &str)]) {
        for (file, data) in fields {
            if let Some(file) = spot.key(file) {
                let message = "it refers to a file that the serving host does not have";
                self.add(Severity::Error, codes::KUBECONFIG_FILE, &file, message, FLATTEN);
            }
            if !data.ends_with("-data") {
                continue;
            }
            let Some(data) = spot.key(data) else { continue };
            let packed: String = data.node.text().unwrap_or_default().split_whitespace().collect();
            if STANDARD.decode(packed).is_err() {
                let message = "it is not valid base64";
                self.add(Severity::Error, codes::KUBECONFIG_CREDENTIALS, &data, message, FLATTEN);
            }
        }
    }
}

/// What stands under `one` in the entry of a list that has that name.
fn entry<'a>(root: &Spot<'a>, list: &str, one: &str, name: &Node) -> Option<Spot<'a>> {
    let path = root.path.key(list);
    let (index, found) = items(at(root.node, &[list]))
        .iter()
        .enumerate()
        .find(|(_, item)| at(item, &["name"]).and_then(Node::text) == name.text())?;
    let path = path.index(index);
    match at(found, &[one]) {
        Some(node) => Some(Spot { node, path: path.key(one) }),
        None => Some(Spot { node: found, path }),
    }
}

fn is_loopback(server: &str) -> bool {
    let rest = server.split_once("://").map_or(server, |(_, rest)| rest);
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    let host = match host.strip_prefix('[') {
        Some(six) => six.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    host == "localhost"
        || host.parse::<core::net::IpAddr>().is_ok_and(|ip| ip.is_loopback() || ip.is_unspecified())
}
