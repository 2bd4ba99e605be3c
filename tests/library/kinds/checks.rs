//! What a server would refuse is found in the document, at its place.

use std::ops::Range;
use std::sync::Arc;

use reconciler::kind;
use reconciler::model::tree::NodeValue;
use reconciler::model::{Findings, Node, Scalar, ScalarStyle};

/// A document from JSON; every node's span is its place in the compact text.
fn node(value: &serde_json::Value, text: &mut String) -> Node<'static> {
    let start = text.len();
    let value = match value {
        serde_json::Value::Array(items) => {
            text.push('[');
            let items = items
                .iter()
                .enumerate()
                .map(|(index, item)| {
                    text.push_str(if index > 0 { "," } else { "" });
                    node(item, text)
                })
                .collect();
            text.push(']');
            NodeValue::List(items)
        }
        serde_json::Value::Object(entries) => {
            text.push('{');
            let entries = entries
                .iter()
                .enumerate()
                .map(|(index, (key, value))| {
                    text.push_str(if index > 0 { "," } else { "" });
                    let key = node(&serde_json::Value::String(key.clone()), text);
                    text.push(':');
                    (key, node(value, text))
                })
                .collect();
            text.push('}');
            NodeValue::Map(entries)
        }
        scalar => {
            let shown = scalar.to_string();
            text.push_str(&shown);
            let (scalar, written) = match scalar {
                serde_json::Value::Null => (Scalar::Null, shown),
                serde_json::Value::Bool(value) => (Scalar::Bool(*value), shown),
                serde_json::Value::Number(number) => (Scalar::Int(number.as_i64().unwrap()), shown),
                other => {
                    let text = other.as_str().unwrap();
                    (Scalar::String(text.to_owned().into()), text.to_owned())
                }
            };
            NodeValue::Scalar { scalar, text: written.into(), style: ScalarStyle::Text }
        }
    };
    let at = |offset: usize| u32::try_from(offset).unwrap();
    Node { span: Range { start: at(start), end: at(text.len()) }, value }
}

/// The findings of a document: code and the text that is pointed at.
fn findings(kind: &str, json: &str) -> Vec<(String, String)> {
    let mut text = String::new();
    let document = node(&serde_json::from_str(json).expect(json), &mut text);
    let mut out = Vec::new();
    let mut collected = Findings { path: Arc::from("x.yaml"), out: &mut out };
    (kind::find(kind).unwrap().check)(&document, &mut collected);
    out.iter()
        .map(|found| {
            assert!(found.hint.is_some(), "{} has no hint", found.message);
            (found.code.to_string(), text[found.at.range()].to_string())
        })
        .collect()
}

const CHECKS: &[(&str, &str, &[(&str, &str)])] = &[
    (
        "role",
        r#"{"metadata":{"name":"dev"},"version":"v7","spec":{"allow":{"logins":["root"],"rules":[{"resources":["a"],"verbs":["*"]}]}}}"#,
        &[],
    ),
    ("role", r#"{"metadata":{"name":"a/b c"}}"#, &[("K004", r#""a/b c""#)]),
    ("role", r#"{"metadata":{"name":"Proxy"}}"#, &[("K034", r#""Proxy""#)]),
    (
        "role",
        r#"{"metadata":{"name":"r","labels":{"a b":"c","reconciler/prune":"x","teleport.dev/x":"y","teleport.dev/origin":"z"}}}"#,
        &[("K001", r#""a b""#), ("K002", r#""teleport.dev/x""#)],
    ),
    (
        "role",
        r#"{"metadata":{"labels":{"teleport.hidden/reconciler-owner":"y"}}}"#,
        &[("K003", r#""teleport.hidden/reconciler-owner""#)],
    ),
    (
        "role",
        r#"{"spec":{"allow":{"logins":["a","*"]},"deny":{"logins":["*"]}}}"#,
        &[("K020", r#""*""#)],
    ),
    (
        "role",
        r#"{"spec":{"allow":{"node_labels":{"*":"x"},"app_labels":{"*":["*"]}}}}"#,
        &[("K021", r#""x""#)],
    ),
    ("role", r#"{"spec":{"allow":{"db_labels":{"*":["*","y"]}}}}"#, &[("K021", r#"["*","y"]"#)]),
    ("role", r#"{"spec":{"deny":{"db_labels":{"*":["*","y"]}}}}"#, &[]),
    ("role", r#"{"spec":{"allow":{"cluster_labels":{"*":"x"}}}}"#, &[]),
    (
        "role",
        r#"{"spec":{"allow":{"spiffe":[{"ip_sans":["10.0.0.1","::/0","10.0.0.0/33","::/129"]},{"path":"a"},{"path":"^a$"}]}}}"#,
        &[
            ("K035", r#"{"ip_sans":["10.0.0.1","::/0","10.0.0.0/33","::/129"]}"#),
            ("K035", r#""10.0.0.1""#),
            ("K035", r#""10.0.0.0/33""#),
            ("K035", r#""::/129""#),
            ("K035", r#""a""#),
        ],
    ),
    (
        "role",
        r#"{"spec":{"deny":{"db_permissions":[{"permissions":[]},{"permissions":["*",""],"match":{"*":"x"}}]}}}"#,
        &[("K036", r#"{"permissions":[]}"#), ("K036", r#""""#), ("K021", r#""x""#)],
    ),
    (
        "role",
        r#"{"spec":{"allow":{"request":{"max_duration":"336h1s","reason":{"mode":"x"},"thresholds":[{"filter":"(("}]}},"deny":{"request":{"max_duration":"15d","reason":{"mode":"required"},"thresholds":[{}]}}}}"#,
        &[
            ("K038", r#""((""#),
            ("K037", r#""336h1s""#),
            ("K037", r#""x""#),
            ("K037", "[{}]"),
            ("K037", r#""required""#),
        ],
    ),
    (
        "role",
        r#"{"spec":{"allow":{"review_requests":{"where":"a && "}},"deny":{"review_requests":{"where":"b(\"c) "}}}}"#,
        &[("K038", r#""a && ""#), ("K038", r#""b(\"c) ""#)],
    ),
    (
        "role",
        r#"{"spec":{"allow":{"request":{"thresholds":[{"filter":"contains(reviewer.roles, \"a)\") && !equals(x[`(`], 'b')"},{"filter":""}]}}}}"#,
        &[],
    ),
    (
        "role",
        r#"{"spec":{"allow":{"impersonate":{"users":["a"]}},"deny":{"impersonate":{"users":["b"],"roles":["c"]}}}}"#,
        &[("K039", r#"["a"]"#)],
    ),
    ("role", r#"{"metadata":{"name":"a/b"}}"#, &[("K004", r#""a/b""#)]),
    ("bot", r#"{"metadata":{"name":"b 7"}}"#, &[]),
    ("bot", r#"{"metadata":{"name":"b/7"}}"#, &[("K004", r#""b/7""#)]),
    (
        "kube_cluster",
        r#"{"spec":{"aws":{"account_id":"1","name":"n","region":"r"},"dynamic_labels":{"reconciler/prune":{"command":["a"],"period":"1h"},"teleport.dev/origin":{"command":["a"],"period":"1h"},"teleport.hidden/reconciler-owner":{"command":["a"],"period":"1h"},"teleport.hidden/x":{"command":["a"],"period":"1h"}}}}"#,
        &[
            ("K017", r#""reconciler/prune""#),
            ("K017", r#""teleport.dev/origin""#),
            ("K017", r#""teleport.hidden/reconciler-owner""#),
        ],
    ),
    (
        "role",
        r#"{"spec":{"allow":{"rules":[{"verbs":["read"]},{"resources":["a"],"verbs":[]}]}}}"#,
        &[("K022", r#"{"verbs":["read"]}"#), ("K023", r#"{"resources":["a"],"verbs":[]}"#)],
    ),
    (
        "role",
        r#"{"spec":{"options":{"enhanced_recording":["disk","x"],"lock":"maybe"}}}"#,
        &[("K024", r#""x""#), ("K025", r#""maybe""#)],
    ),
    (
        "role",
        r#"{"spec":{"deny":{"impersonate":{"where":"x"},"node_labels":{"dynamic/a":"b"}},"allow":{"impersonate":{"where":"x"}}}}"#,
        &[("K026", r#""x""#), ("K033", r#""dynamic/a""#)],
    ),
    (
        "role",
        r#"{"version":"v7","spec":{"allow":{"kubernetes_resources":[{"kind":"nonsense","name":"*","namespace":"*","verbs":["*"]}]}}}"#,
        &[("K027", r#""nonsense""#)],
    ),
    (
        "role",
        r#"{"version":"v7","spec":{"allow":{"kubernetes_resources":[{"kind":"pod","namespace":"*","verbs":["*"]}]}}}"#,
        &[("K028", r#"{"kind":"pod","namespace":"*","verbs":["*"]}"#)],
    ),
    (
        "role",
        r#"{"version":"v7","spec":{"allow":{"kubernetes_resources":[{"kind":"pod","name":"*"},{"kind":"kube_node","name":"*"}]}}}"#,
        &[("K028", r#"{"kind":"pod","name":"*"}"#)],
    ),
    (
        "role",
        r#"{"version":"v5","spec":{"allow":{"kubernetes_resources":[{"kind":"secret","name":"*","namespace":"*","verbs":["get"]}]}}}"#,
        &[("K027", r#""secret""#), ("K029", r#""get""#)],
    ),
    (
        "role",
        r#"{"version":"v8","spec":{"allow":{"kubernetes_resources":[{"kind":"pods","name":"*","namespace":"*","verbs":["get","*"]},{"kind":"deployments","name":"*"}]}}}"#,
        &[("K029", r#""*""#), ("K030", r#"{"kind":"deployments","name":"*"}"#)],
    ),
    (
        "role",
        r#"{"version":"v8","spec":{"allow":{"kubernetes_resources":[{"kind":"pod","name":"*"},{"kind":"*","name":"*"}]}}}"#,
        &[("K027", r#""pod""#), ("K030", r#"{"kind":"*","name":"*"}"#)],
    ),
    (
        "role",
        r#"{"version":"v8","spec":{"allow":{"kubernetes_resources":[{"kind":"pods","name":"*","verbs":["{{external.verbs}}"]},{"kind":"deployments","name":"*","api_group":"apps"},{"kind":"bindings","name":"*","namespace":"a"},{"kind":"pod","name":"*","api_group":"example.com"},{"name":"*"}]}}}"#,
        &[
            ("K028", r#"{"kind":"pods","name":"*","verbs":["{{external.verbs}}"]}"#),
            ("K028", r#"{"api_group":"apps","kind":"deployments","name":"*"}"#),
            ("K027", r#""pod""#),
            ("K027", r#"{"name":"*"}"#),
        ],
    ),
    (
        "role",
        r#"{"version":"v8","spec":{"allow":{"kubernetes_labels":{"a":"b"},"kubernetes_resources":[{"kind":"*","name":"*","namespace":"*","verbs":["*"]}]}}}"#,
        &[],
    ),
    (
        "role",
        r#"{"version":"v7","spec":{"allow":{"request":{"kubernetes_resources":[{"kind":"pod"},{"kind":"*"},{"kind":"pods"}]}},"deny":{"request":{"kubernetes_resources":[{}]}}}}"#,
        &[("K027", r#""pods""#), ("K027", "{}")],
    ),
    ("role", r#"{"metadata":{"name":"AccessGraphPlugin"}}"#, &[("K034", r#""AccessGraphPlugin""#)]),
    (
        "role",
        r#"{"version":"v7","spec":{"deny":{"kubernetes_resources":[{"kind":"pod","name":"*","namespace":"*","verbs":["eat"],"api_group":"x"}]}}}"#,
        &[("K030", r#""x""#), ("K029", r#""eat""#)],
    ),
    (
        "role",
        r#"{"version":"v8","spec":{"options":{"idp":{},"port_forwarding":true,"ssh_port_forwarding":{"local":{}}}}}"#,
        &[("K031", r#"{"local":{}}"#), ("K032", "{}")],
    ),
    ("role", r#"{"version":"v7","spec":{"options":{"idp":{},"port_forwarding":true}}}"#, &[]),
    (
        "kube_cluster",
        r#"{"metadata":{"name":"k"},"spec":{"kubeconfig":"eyJhcGlWZXJzaW9uIjoidjEiLCJraW5kIjoiQ29uZmlnIiwiY3VycmVudC1jb250ZXh0IjoiayIsImNsdXN0ZXJzIjpbeyJuYW1lIjoiayIsImNsdXN0ZXIiOnsic2VydmVyIjoiaHR0cHM6Ly9rIn19XSwiY29udGV4dHMiOlt7Im5hbWUiOiJrIiwiY29udGV4dCI6eyJjbHVzdGVyIjoiayIsInVzZXIiOiJ1In19XSwidXNlcnMiOlt7Im5hbWUiOiJ1IiwidXNlciI6eyJ0b2tlbiI6InQifX1dfQ==","aws":{},"gcp":{"name":""},"dynamic_labels":{"a":{"command":["x"],"period":"1h"}}}}"#,
        &[],
    ),
    (
        "kube_cluster",
        r#"{"metadata":{"name":"a+b"},"spec":{"kubeconfig":"eyJhcGlWZXJzaW9uIjoidjEiLCJraW5kIjoiQ29uZmlnIiwiY3VycmVudC1jb250ZXh0IjoiayIsImNsdXN0ZXJzIjpbeyJuYW1lIjoiayIsImNsdXN0ZXIiOnsic2VydmVyIjoiaHR0cHM6Ly9rIn19XSwiY29udGV4dHMiOlt7Im5hbWUiOiJrIiwiY29udGV4dCI6eyJjbHVzdGVyIjoiayIsInVzZXIiOiJ1In19XSwidXNlcnMiOlt7Im5hbWUiOiJ1IiwidXNlciI6eyJ0b2tlbiI6InQifX1dfQ=="}}"#,
        &[("K010", r#""a+b""#)],
    ),
    (
        "kube_cluster",
        r#"{"metadata":{"name":".."},"spec":{"kubeconfig":"eyJhcGlWZXJzaW9uIjoidjEiLCJraW5kIjoiQ29uZmlnIiwiY3VycmVudC1jb250ZXh0IjoiayIsImNsdXN0ZXJzIjpbeyJuYW1lIjoiayIsImNsdXN0ZXIiOnsic2VydmVyIjoiaHR0cHM6Ly9rIn19XSwiY29udGV4dHMiOlt7Im5hbWUiOiJrIiwiY29udGV4dCI6eyJjbHVzdGVyIjoiayIsInVzZXIiOiJ1In19XSwidXNlcnMiOlt7Im5hbWUiOiJ1IiwidXNlciI6eyJ0b2tlbiI6InQifX1dfQ=="}}"#,
        &[("K004", r#""..""#)],
    ),
    (
        "kube_cluster",
        r#"{"spec":{"aws":{"region":"r","name":"n"}}}"#,
        &[("K011", r#"{"name":"n","region":"r"}"#)],
    ),
    (
        "kube_cluster",
        r#"{"spec":{"azure":{"resource_group":"r","resource_name":"n","subscription_id":"s"},"kubeconfig":"eyJhcGlWZXJzaW9uIjoidjEiLCJraW5kIjoiQ29uZmlnIiwiY3VycmVudC1jb250ZXh0IjoiayIsImNsdXN0ZXJzIjpbeyJuYW1lIjoiayIsImNsdXN0ZXIiOnsic2VydmVyIjoiaHR0cHM6Ly9rIn19XSwiY29udGV4dHMiOlt7Im5hbWUiOiJrIiwiY29udGV4dCI6eyJjbHVzdGVyIjoiayIsInVzZXIiOiJ1In19XSwidXNlcnMiOlt7Im5hbWUiOiJ1IiwidXNlciI6eyJ0b2tlbiI6InQifX1dfQ=="}}"#,
        &[("K012", r#"{"resource_group":"r","resource_name":"n","subscription_id":"s"}"#)],
    ),
    ("kube_cluster", r#"{"spec":{"aws":{}}}"#, &[("K013", r#"{"aws":{}}"#)]),
    (
        "kube_cluster",
        r#"{"metadata":{"labels":{"b":"x"}},"spec":{"kubeconfig":"eyJhcGlWZXJzaW9uIjoidjEiLCJraW5kIjoiQ29uZmlnIiwiY3VycmVudC1jb250ZXh0IjoiayIsImNsdXN0ZXJzIjpbeyJuYW1lIjoiayIsImNsdXN0ZXIiOnsic2VydmVyIjoiaHR0cHM6Ly9rIn19XSwiY29udGV4dHMiOlt7Im5hbWUiOiJrIiwiY29udGV4dCI6eyJjbHVzdGVyIjoiayIsInVzZXIiOiJ1In19XSwidXNlcnMiOlt7Im5hbWUiOiJ1IiwidXNlciI6eyJ0b2tlbiI6InQifX1dfQ==","dynamic_labels":{"a b":{"command":["x"],"period":"10ms"},"b":{"period":"1m"}}}}"#,
        &[("K001", r#""a b""#), ("K015", r#""10ms""#), ("K014", r#""b""#), ("K016", r#""b""#)],
    ),
    (
        "kube_cluster",
        r#"{"spec":{"kubeconfig":"eyJhcGlWZXJzaW9uIjoidjEiLCJraW5kIjoiQ29uZmlnIiwiY3VycmVudC1jb250ZXh0IjoiayIsImNsdXN0ZXJzIjpbeyJuYW1lIjoiayIsImNsdXN0ZXIiOnsic2VydmVyIjoiaHR0cHM6Ly9rIn19XSwiY29udGV4dHMiOlt7Im5hbWUiOiJrIiwiY29udGV4dCI6eyJjbHVzdGVyIjoiayIsInVzZXIiOiJ1In19XSwidXNlcnMiOlt7Im5hbWUiOiJ1IiwidXNlciI6eyJ0b2tlbiI6InQifX1dfQ==","dynamic_labels":{"a":null}}}"#,
        &[("K014", r#""a""#), ("K015", r#""a""#)],
    ),
    (
        "kube_cluster",
        r#"{"spec":{"kubeconfig":"eyJhcGlWZXJzaW9uIjoidjEiLCJraW5kIjoiTGlzdCIsImN1cnJlbnQtY29udGV4dCI6ImsiLCJjbHVzdGVycyI6W3sibmFtZSI6ImsiLCJjbHVzdGVyIjp7InNlcnZlciI6Imh0dHBzOi8vayJ9fV0sImNvbnRleHRzIjpbeyJuYW1lIjoiayIsImNvbnRleHQiOnsiY2x1c3RlciI6ImsiLCJ1c2VyIjoidSJ9fV0sInVzZXJzIjpbeyJuYW1lIjoidSIsInVzZXIiOnsidG9rZW4iOiJ0In19XX0="}}"#,
        &[(
            "K090",
            r#""eyJhcGlWZXJzaW9uIjoidjEiLCJraW5kIjoiTGlzdCIsImN1cnJlbnQtY29udGV4dCI6ImsiLCJjbHVzdGVycyI6W3sibmFtZSI6ImsiLCJjbHVzdGVyIjp7InNlcnZlciI6Imh0dHBzOi8vayJ9fV0sImNvbnRleHRzIjpbeyJuYW1lIjoiayIsImNvbnRleHQiOnsiY2x1c3RlciI6ImsiLCJ1c2VyIjoidSJ9fV0sInVzZXJzIjpbeyJuYW1lIjoidSIsInVzZXIiOnsidG9rZW4iOiJ0In19XX0=""#,
        )],
    ),
    (
        "kube_cluster",
        r#"{"spec":{"kubeconfig":"eyJhcGlWZXJzaW9uIjoidjEiLCJraW5kIjoiQ29uZmlnIiwiY3VycmVudC1jb250ZXh0IjoieCIsImNsdXN0ZXJzIjpbeyJuYW1lIjoiayIsImNsdXN0ZXIiOnsic2VydmVyIjoiaHR0cHM6Ly9rIn19XSwiY29udGV4dHMiOlt7Im5hbWUiOiJrIiwiY29udGV4dCI6eyJjbHVzdGVyIjoiayIsInVzZXIiOiJ1In19XSwidXNlcnMiOlt7Im5hbWUiOiJ1IiwidXNlciI6eyJ0b2tlbiI6InQifX1dfQ=="}}"#,
        &[(
            "K091",
            r#""eyJhcGlWZXJzaW9uIjoidjEiLCJraW5kIjoiQ29uZmlnIiwiY3VycmVudC1jb250ZXh0IjoieCIsImNsdXN0ZXJzIjpbeyJuYW1lIjoiayIsImNsdXN0ZXIiOnsic2VydmVyIjoiaHR0cHM6Ly9rIn19XSwiY29udGV4dHMiOlt7Im5hbWUiOiJrIiwiY29udGV4dCI6eyJjbHVzdGVyIjoiayIsInVzZXIiOiJ1In19XSwidXNlcnMiOlt7Im5hbWUiOiJ1IiwidXNlciI6eyJ0b2tlbiI6InQifX1dfQ==""#,
        )],
    ),
    (
        "kube_cluster",
        r#"{"spec":{"kubeconfig":"eyJhcGlWZXJzaW9uIjoidjEiLCJraW5kIjoiQ29uZmlnIiwiY3VycmVudC1jb250ZXh0IjoiayIsImNsdXN0ZXJzIjpbeyJuYW1lIjoiayIsImNsdXN0ZXIiOnsic2VydmVyIjoiaHR0cHM6Ly9sb2NhbGhvc3QifX1dLCJjb250ZXh0cyI6W3sibmFtZSI6ImsiLCJjb250ZXh0Ijp7ImNsdXN0ZXIiOiJrIiwidXNlciI6InUifX1dLCJ1c2VycyI6W3sibmFtZSI6InUiLCJ1c2VyIjp7InRva2VuIjoidCJ9fV19"}}"#,
        &[(
            "K092",
            r#""eyJhcGlWZXJzaW9uIjoidjEiLCJraW5kIjoiQ29uZmlnIiwiY3VycmVudC1jb250ZXh0IjoiayIsImNsdXN0ZXJzIjpbeyJuYW1lIjoiayIsImNsdXN0ZXIiOnsic2VydmVyIjoiaHR0cHM6Ly9sb2NhbGhvc3QifX1dLCJjb250ZXh0cyI6W3sibmFtZSI6ImsiLCJjb250ZXh0Ijp7ImNsdXN0ZXIiOiJrIiwidXNlciI6InUifX1dLCJ1c2VycyI6W3sibmFtZSI6InUiLCJ1c2VyIjp7InRva2VuIjoidCJ9fV19""#,
        )],
    ),
    (
        "kube_cluster",
        r#"{"spec":{"kubeconfig":"eyJhcGlWZXJzaW9uIjoidjEiLCJraW5kIjoiQ29uZmlnIiwiY3VycmVudC1jb250ZXh0IjoiayIsImNsdXN0ZXJzIjpbeyJuYW1lIjoiayIsImNsdXN0ZXIiOnsic2VydmVyIjoiaHR0cHM6Ly9rIiwiY2VydGlmaWNhdGUtYXV0aG9yaXR5IjoiL3gifX1dLCJjb250ZXh0cyI6W3sibmFtZSI6ImsiLCJjb250ZXh0Ijp7ImNsdXN0ZXIiOiJrIiwidXNlciI6InUifX1dLCJ1c2VycyI6W3sibmFtZSI6InUiLCJ1c2VyIjp7InRva2VuIjoidCJ9fV19"}}"#,
        &[(
            "K093",
            r#""eyJhcGlWZXJzaW9uIjoidjEiLCJraW5kIjoiQ29uZmlnIiwiY3VycmVudC1jb250ZXh0IjoiayIsImNsdXN0ZXJzIjpbeyJuYW1lIjoiayIsImNsdXN0ZXIiOnsic2VydmVyIjoiaHR0cHM6Ly9rIiwiY2VydGlmaWNhdGUtYXV0aG9yaXR5IjoiL3gifX1dLCJjb250ZXh0cyI6W3sibmFtZSI6ImsiLCJjb250ZXh0Ijp7ImNsdXN0ZXIiOiJrIiwidXNlciI6InUifX1dLCJ1c2VycyI6W3sibmFtZSI6InUiLCJ1c2VyIjp7InRva2VuIjoidCJ9fV19""#,
        )],
    ),
    (
        "kube_cluster",
        r#"{"spec":{"kubeconfig":"eyJhcGlWZXJzaW9uIjoidjEiLCJraW5kIjoiQ29uZmlnIiwiY3VycmVudC1jb250ZXh0IjoiayIsImNsdXN0ZXJzIjpbeyJuYW1lIjoiayIsImNsdXN0ZXIiOnsic2VydmVyIjoiaHR0cHM6Ly9rIn19XSwiY29udGV4dHMiOlt7Im5hbWUiOiJrIiwiY29udGV4dCI6eyJjbHVzdGVyIjoiayIsInVzZXIiOiJ1In19XSwidXNlcnMiOlt7Im5hbWUiOiJ1IiwidXNlciI6eyJleGVjIjp7ImNvbW1hbmQiOiJ4In19fV19"}}"#,
        &[(
            "K094",
            r#""eyJhcGlWZXJzaW9uIjoidjEiLCJraW5kIjoiQ29uZmlnIiwiY3VycmVudC1jb250ZXh0IjoiayIsImNsdXN0ZXJzIjpbeyJuYW1lIjoiayIsImNsdXN0ZXIiOnsic2VydmVyIjoiaHR0cHM6Ly9rIn19XSwiY29udGV4dHMiOlt7Im5hbWUiOiJrIiwiY29udGV4dCI6eyJjbHVzdGVyIjoiayIsInVzZXIiOiJ1In19XSwidXNlcnMiOlt7Im5hbWUiOiJ1IiwidXNlciI6eyJleGVjIjp7ImNvbW1hbmQiOiJ4In19fV19""#,
        )],
    ),
    (
        "kube_cluster",
        r#"{"spec":{"kubeconfig":"eyJhcGlWZXJzaW9uIjoidjEiLCJraW5kIjoiQ29uZmlnIiwiY3VycmVudC1jb250ZXh0IjoiayIsImNsdXN0ZXJzIjpbeyJuYW1lIjoiayIsImNsdXN0ZXIiOnsic2VydmVyIjoiaHR0cHM6Ly9rIn19XSwiY29udGV4dHMiOlt7Im5hbWUiOiJrIiwiY29udGV4dCI6eyJjbHVzdGVyIjoiayIsInVzZXIiOiJ1In19XSwidXNlcnMiOlt7Im5hbWUiOiJ1IiwidXNlciI6e319XX0="}}"#,
        &[(
            "K095",
            r#""eyJhcGlWZXJzaW9uIjoidjEiLCJraW5kIjoiQ29uZmlnIiwiY3VycmVudC1jb250ZXh0IjoiayIsImNsdXN0ZXJzIjpbeyJuYW1lIjoiayIsImNsdXN0ZXIiOnsic2VydmVyIjoiaHR0cHM6Ly9rIn19XSwiY29udGV4dHMiOlt7Im5hbWUiOiJrIiwiY29udGV4dCI6eyJjbHVzdGVyIjoiayIsInVzZXIiOiJ1In19XSwidXNlcnMiOlt7Im5hbWUiOiJ1IiwidXNlciI6e319XX0=""#,
        )],
    ),
    (
        "kube_cluster",
        r#"{"spec":{"kubeconfig":"eyJhcGlWZXJzaW9uIjoidjEiLCJraW5kIjoiQ29uZmlnIiwiY3VycmVudC1jb250ZXh0IjoiayIsImNsdXN0ZXJzIjpbeyJuYW1lIjoiayIsImNsdXN0ZXIiOnsic2VydmVyIjoiaHR0cHM6Ly9rIn19XSwiY29udGV4dHMiOlt7Im5hbWUiOiJrIiwiY29udGV4dCI6eyJjbHVzdGVyIjoiayIsInVzZXIiOiJ1In19LHsibmFtZSI6InkifV0sInVzZXJzIjpbeyJuYW1lIjoidSIsInVzZXIiOnsidG9rZW4iOiJ0In19XX0="}}"#,
        &[(
            "K096",
            r#""eyJhcGlWZXJzaW9uIjoidjEiLCJraW5kIjoiQ29uZmlnIiwiY3VycmVudC1jb250ZXh0IjoiayIsImNsdXN0ZXJzIjpbeyJuYW1lIjoiayIsImNsdXN0ZXIiOnsic2VydmVyIjoiaHR0cHM6Ly9rIn19XSwiY29udGV4dHMiOlt7Im5hbWUiOiJrIiwiY29udGV4dCI6eyJjbHVzdGVyIjoiayIsInVzZXIiOiJ1In19LHsibmFtZSI6InkifV0sInVzZXJzIjpbeyJuYW1lIjoidSIsInVzZXIiOnsidG9rZW4iOiJ0In19XX0=""#,
        )],
    ),
    (
        "trusted_cluster",
        r#"{"spec":{"token":"t","web_proxy_addr":"a:443","role_map":[{"remote":"access","local":["visitor"]},{"remote":"^(a|b)-(.*)$","local":["$1"]},{"remote":"c-*","local":["c"]}]}}"#,
        &[],
    ),
    ("trusted_cluster", r#"{"spec":{"token":"t","web_proxy_addr":"a:443","roles":["a"]}}"#, &[]),
    (
        "trusted_cluster",
        r#"{"spec":{"token":"t","web_proxy_addr":"a:443","roles":["a"],"role_map":[{"remote":"a","local":["b"]}]}}"#,
        &[("K040", r#"["a"]"#)],
    ),
    (
        "trusted_cluster",
        r#"{"spec":{"enabled":true}}"#,
        &[
            ("K047", r#"{"enabled":true}"#),
            ("K049", r#"{"enabled":true}"#),
            ("K041", r#"{"enabled":true}"#),
        ],
    ),
    (
        "trusted_cluster",
        r#"{"metadata":{"expires":"2030-01-01T00:00:00Z"},"spec":{"token":"t","web_proxy_addr":"a","role_map":[{"remote":"","local":["","*"]},{"remote":"a"},{"remote":"a","local":["x"]}]}}"#,
        &[
            ("K048", r#""2030-01-01T00:00:00Z""#),
            ("K042", r#"{"local":["","*"],"remote":""}"#),
            ("K043", r#""""#),
            ("K043", r#""*""#),
            ("K042", r#"{"remote":"a"}"#),
            ("K044", r#""a""#),
        ],
    ),
    (
        "trusted_cluster",
        r#"{"spec":{"token":"t","web_proxy_addr":"a","role_map":[{"remote":"^[$","local":["a"]},{"remote":"^(x$","local":["a"]},{"remote":"^x)$","local":["a"]},{"remote":"^*$","local":["a"]},{"remote":"^a{1001}$","local":["a"]},{"remote":"^(?=a)$","local":["a"]},{"remote":"^a","local":["a"]},{"remote":"r-.*","local":["a"]}]}}"#,
        &[
            ("K045", r#""^[$""#),
            ("K045", r#""^(x$""#),
            ("K045", r#""^x)$""#),
            ("K045", r#""^a{1001}$""#),
            ("K045", r#""^(?=a)$""#),
            ("K046", r#""^a""#),
            ("K046", r#""r-.*""#),
        ],
    ),
    (
        "trusted_cluster",
        r#"{"spec":{"token":"t","web_proxy_addr":"a","role_map":[{"remote":"^[]a[:alpha:]-]+?(?i:x{2,5})\\d$","local":["a"]},{"remote":"^(?P<env>[a-z]+)-ops$","local":["a"]}]}}"#,
        &[],
    ),
    (
        "workload_cluster",
        r#"{"metadata":{"name":"c","labels":{"reconciler/prune":"false"}},"spec":{"regions":[{"name":"us-west-2"}],"bot":{"name":"b"},"token":{"join_method":"iam","allow":[{"aws_account":"123456789012","aws_arn":"arn:aws:sts::123456789012:assumed-role/r/s"}]}}}"#,
        &[],
    ),
    (
        "workload_cluster",
        r#"{"metadata":{"name":"My_Cluster.A"},"spec":{"regions":[{"name":"us-west-2"}],"bot":{"name":"b"},"token":{"join_method":"iam","allow":[{"aws_account":"123456789012"}]}}}"#,
        &[("K068", r#""My_Cluster.A""#)],
    ),
    (
        "workload_cluster",
        r#"{"spec":{}}"#,
        &[("K067", "{}"), ("K066", "{}"), ("K060", "{}"), ("K061", "{}")],
    ),
    (
        "workload_cluster",
        r#"{"metadata":{"description":"x","labels":{"a":"b"}},"spec":{"regions":[{}],"bot":{"name":"b"},"token":{"join_method":"token","allow":[{},{"aws_account":"account"},{"aws_arn":"arn"}]}}}"#,
        &[
            ("K065", r#""x""#),
            ("K065", r#""a""#),
            ("K067", "{}"),
            ("K060", r#""token""#),
            ("K062", "{}"),
            ("K063", r#""account""#),
            ("K064", r#""arn""#),
        ],
    ),
    (
        "user",
        r#"{"metadata":{"name":"u@x.org"},"spec":{"roles":["a"],"traits":{"logins":[]}}}"#,
        &[],
    ),
    ("user", r#"{"spec":{"roles":["a",""]}}"#, &[("K080", r#""""#)]),
    (
        "bot",
        r#"{"metadata":{"name":"b","description":"x"},"spec":{"roles":[""],"traits":[{"name":"a","values":["b"]},{"name":"a"},{"values":["b"]}]}}"#,
        &[
            ("K065", r#""x""#),
            ("K080", r#""""#),
            ("K081", r#"{"name":"a"}"#),
            ("K081", r#"{"values":["b"]}"#),
        ],
    ),
    ("bot", r#"{"spec":{"roles":["a"],"max_session_ttl":"-1h"}}"#, &[("K082", r#""-1h""#)]),
    (
        "remote_cluster",
        r#"{"metadata":{"name":"leaf","labels":{"a b":"c"}}}"#,
        &[("K001", r#""a b""#)],
    ),
    ("token", r#"{"metadata":{"name":"t"},"spec":{"roles":["Node"],"join_method":"token"}}"#, &[]),
    ("token", r#"{"spec":{"roles":["node"]}}"#, &[]),
    (
        "token",
        r#"{"spec":{"roles":["node"],"join_method":"token","allow":[{"aws_account":"1"}]}}"#,
        &[("K074", r#"[{"aws_account":"1"}]"#)],
    ),
    (
        "token",
        r#"{"spec":{"roles":["node"],"join_method":"tpm","tpm":{"ekcert_allowed_cas":["nonsense"],"allow":[{"ek_public_hash":"p"}]}}}"#,
        &[("K075", r#""nonsense""#)],
    ),
    (
        "token",
        r#"{"metadata":{"name":"a/b c"},"spec":{"roles":["node"],"join_method":"magic"}}"#,
        &[("K004", r#""a/b c""#), ("K071", r#""magic""#)],
    ),
    (
        "token",
        r#"{"spec":{"roles":["Node","node","x"],"join_method":"github"}}"#,
        &[("K077", r#""node""#), ("K077", r#""x""#), ("K072", r#""github""#)],
    ),
    (
        "token",
        r#"{"spec":{"join_method":"gcp","bot_name":"b","gcp":{}}}"#,
        &[
            ("K077", r#"{"bot_name":"b","gcp":{},"join_method":"gcp"}"#),
            ("K078", r#""b""#),
            ("K073", "{}"),
        ],
    ),
    (
        "token",
        r#"{"spec":{"roles":["Bot"],"join_method":"iam","allow":[{"aws_account":"1","aws_role":"r"},{"aws_regions":["x"]},{"aws_arn":"a"}]}}"#,
        &[
            (
                "K078",
                r#"{"allow":[{"aws_account":"1","aws_role":"r"},{"aws_regions":["x"]},{"aws_arn":"a"}],"join_method":"iam","roles":["Bot"]}"#,
            ),
            ("K074", r#""r""#),
            ("K074", r#"{"aws_regions":["x"]}"#),
            ("K074", r#"["x"]"#),
        ],
    ),
    (
        "token",
        r#"{"spec":{"roles":["node"],"allow":[{"aws_arn":"x"}]}}"#,
        &[("K074", r#"{"aws_arn":"x"}"#), ("K074", r#""x""#)],
    ),
    ("token", r#"{"spec":{"roles":["node"],"allow":[{"aws_role":"x"}]}}"#, &[]),
    (
        "token",
        r#"{"spec":{"roles":["node"],"join_method":"github","github":{"enterprise_server_host":"https://x","enterprise_slug":"s","allow":[{"actor":"x"},{"sub":"x"}]}}}"#,
        &[("K076", r#""https://x""#), ("K074", r#"{"actor":"x"}"#), ("K075", r#""s""#)],
    ),
    (
        "token",
        r#"{"spec":{"roles":["node"],"join_method":"kubernetes","kubernetes":{"static_jwks":{"jwks":"x"},"allow":[{"service_account":"a"}]}}}"#,
        &[("K074", r#""a""#), ("K079", r#"{"jwks":"x"}"#)],
    ),
    (
        "token",
        r#"{"spec":{"roles":["node"],"join_method":"kubernetes","kubernetes":{"type":"static_jwks","allow":[{"service_account":"a:b"}]}}}"#,
        &[("K079", r#"{"allow":[{"service_account":"a:b"}],"type":"static_jwks"}"#)],
    ),
    (
        "token",
        r#"{"spec":{"roles":["node"],"join_method":"kubernetes","kubernetes":{"type":"odd","allow":[{"service_account":"a:b"}]}}}"#,
        &[("K079", r#""odd""#)],
    ),
    (
        "token",
        r#"{"spec":{"roles":["node"],"join_method":"spacelift","spacelift":{"allow":[{"scope":"x"}]}}}"#,
        &[("K075", r#"{"allow":[{"scope":"x"}]}"#), ("K074", r#"{"scope":"x"}"#)],
    ),
    (
        "token",
        r#"{"spec":{"roles":["node"],"join_method":"terraform_cloud","terraform_cloud":{"allow":[{"organization_id":"x"},{"project_id":"x"},{"organization_name":"x","workspace_name":"y"}]}}}"#,
        &[("K074", r#"{"organization_id":"x"}"#), ("K074", r#"{"project_id":"x"}"#)],
    ),
    (
        "token",
        r#"{"spec":{"roles":["bot"],"bot_name":"b","join_method":"bound_keypair","bound_keypair":{"recovery":{"limit":1}}}}"#,
        &[("K075", r#"{"recovery":{"limit":1}}"#)],
    ),
    (
        "token",
        r#"{"spec":{"roles":["bot"],"bot_name":"b","join_method":"bound_keypair","bound_keypair":{"onboarding":{"registration_secret":"s"}}}}"#,
        &[],
    ),
    (
        "token",
        r#"{"spec":{"roles":["node"],"join_method":"circleci","circleci":{"organization_id":"o","allow":[{"project_id":"p"}]}}}"#,
        &[],
    ),
    (
        "token",
        r#"{"spec":{"roles":["node"],"join_method":"azure","azure":{"allow":[{"subscription":"s"}]}}}"#,
        &[],
    ),
    (
        "token",
        r#"{"spec":{"roles":["node"],"join_method":"gitlab","gitlab":{"domain":"gitlab.example.com","allow":[{"project_path":"p"}]}}}"#,
        &[],
    ),
    (
        "token",
        r#"{"spec":{"roles":["node"],"join_method":"gcp","gcp":{"allow":[{"project_ids":["p"]}]}}}"#,
        &[],
    ),
    (
        "token",
        r#"{"spec":{"roles":["node"],"join_method":"spacelift","spacelift":{"hostname":"x.app.spacelift.io","allow":[{"space_id":"p"}]}}}"#,
        &[],
    ),
    (
        "token",
        r#"{"spec":{"roles":["node"],"join_method":"tpm","tpm":{"allow":[{"ek_public_hash":"p"}]}}}"#,
        &[],
    ),
    (
        "token",
        r#"{"spec":{"roles":["node"],"join_method":"bitbucket","bitbucket":{"audience":"a","identity_provider_url":"u","allow":[{"workspace_uuid":"p"}]}}}"#,
        &[],
    ),
    (
        "token",
        r#"{"spec":{"roles":["node"],"join_method":"oracle","oracle":{"allow":[{"tenancy":"p"}]}}}"#,
        &[],
    ),
    (
        "token",
        r#"{"spec":{"roles":["node"],"join_method":"azure_devops","azure_devops":{"organization_id":"o","allow":[{"sub":"p"}]}}}"#,
        &[],
    ),
];

#[test]
fn each_rule_points_at_its_place() {
    for (kind, json, expected) in CHECKS {
        let found = findings(kind, json);
        let found: Vec<(&str, &str)> =
            found.iter().map(|(code, text)| (code.as_str(), text.as_str())).collect();
        assert_eq!(&found, expected, "{json}");
    }
}

#[test]
fn every_code_has_a_case() {
    let used: std::collections::BTreeSet<&str> =
        CHECKS.iter().flat_map(|(_, _, expected)| expected.iter().map(|(code, _)| *code)).collect();
    for (code, meaning) in kind::codes::CODES {
        assert!(used.contains(code.0), "{code}: {meaning}");
    }
}
