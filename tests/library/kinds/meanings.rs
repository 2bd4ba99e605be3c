//! What means the same is one text; what is secret is not shown.

use super::keyed::resource;
use reconciler::kind::canonical::mask;
use reconciler::kind::{self, OWNER_LABEL};
use reconciler::model::{Cluster, FingerprintKey, Value};

#[test]
fn directives_marks_and_server_labels_are_not_part_of_what_is_wanted() {
    let kind = kind::find("kube_cluster").unwrap();
    let value = Value::from_json(&format!(
        r#"{{"metadata":{{"name":"k","revision":"9","description":"","expires":"0001-01-01T00:00:00Z",
        "labels":{{"env":"","reconciler/prune":"false","{OWNER_LABEL}":"x","teleport.dev/origin":"dynamic",
        "teleport.internal/y":"z","teleport.hidden/mine":"1"}}}},"spec":{{"aws":{{"region":""}}}},
        "status":{{}}}}"#
    ))
    .unwrap();
    assert_eq!(
        resource(kind, Cluster::Parent, "k", value).canonical.as_ref(),
        r#"{"kind":"kube_cluster","metadata":{"labels":{"env":"","teleport.hidden/mine":"1"},"name":"k"},"version":"v3"}"#
    );
}

#[test]
fn equal_meanings_are_one_text() {
    let cases = [
        (
            "role",
            r#"{"spec":{"allow":{"node_labels":{"env":"prod"}}}}"#,
            r#"{"spec":{"allow":{"node_labels":{"env":["prod"]}}}}"#,
        ),
        (
            "role",
            r#"{"spec":{"allow":{"node_labels":{"env":["a","b"]}}}}"#,
            r#"{"spec":{"allow":{"node_labels":{"env":["b","a"]}}}}"#,
        ),
        (
            "role",
            r#"{"spec":{"allow":{"logins":["a","b"]}}}"#,
            r#"{"spec":{"allow":{"logins":["b","a"]}}}"#,
        ),
        (
            "role",
            r#"{"spec":{"options":{"max_session_ttl":"1d"}}}"#,
            r#"{"spec":{"options":{"max_session_ttl":"24h0m0s"}}}"#,
        ),
        ("role", r#"{"spec":{"options":{"max_session_ttl":"30h"}}}"#, "{}"),
        ("role", r#"{"spec":{"options":{"max_session_ttl":"-1h"}}}"#, "{}"),
        (
            "role",
            r#"{"spec":{"options":{"require_session_mfa":true}}}"#,
            r#"{"spec":{"options":{"require_session_mfa":"yes"}}}"#,
        ),
        ("role", r#"{"spec":{"options":{"require_session_mfa":"no"}}}"#, "{}"),
        (
            "role",
            r#"{"spec":{"options":{"create_host_user_mode":"drop"}}}"#,
            r#"{"spec":{"options":{"create_host_user_mode":"insecure-drop"}}}"#,
        ),
        (
            "role",
            r#"{"spec":{"options":{"forward_agent":false,"ssh_file_copy":true}}}"#,
            r#"{"spec":{"allow":{},"deny":null}}"#,
        ),
        ("role", r#"{"version":"v8"}"#, r#"{"version":"v9"}"#),
        (
            "role",
            r#"{"spec":{"allow":{"kubernetes_labels":{"*":"*"},"kubernetes_resources":[{"kind":"*","namespace":"*","name":"*","verbs":["*"],"api_group":"*"}]}}}"#,
            r#"{"spec":{"allow":{"kubernetes_labels":{"*":"*"}}}}"#,
        ),
        (
            "user",
            r#"{"version":"v7","spec":{"roles":["b","a"]}}"#,
            r#"{"spec":{"roles":["a","b"]}}"#,
        ),
        (
            "user",
            r#"{"spec":{"expires":"0001-01-01T00:00:00Z","created_by":{"user":{"name":"x"}},"local_auth":{"totp_key":"x"}},"status":{"password_state":2}}"#,
            "{}",
        ),
        (
            "user",
            r#"{"spec":{"expires":"2031-01-02T03:04:05Z"}}"#,
            r#"{"metadata":{"expires":"2031-01-02T03:04:05Z"},"spec":{"expires":"2031-01-02T05:04:05+02:00"}}"#,
        ),
        ("bot", r#"{"spec":{"max_session_ttl":"-1h"}}"#, r#"{"spec":{"max_session_ttl":"30h"}}"#),
        ("bot", r#"{"spec":{"max_session_ttl":"0s"}}"#, "{}"),
        ("bot", r#"{"spec":{"max_session_ttl":"12h"}}"#, r#"{"metadata":{"description":"x"}}"#),
        (
            "bot",
            r#"{"spec":{"traits":[{"name":"b","values":["x"]},{"name":"a","values":["1"]},{"name":"e"},{"name":"a","values":["2"]}]}}"#,
            r#"{"spec":{"traits":[{"name":"a","values":["1","2"]},{"name":"b","values":["x"]}]}}"#,
        ),
        ("bot", r#"{"spec":{"traits":[{"name":"e"}]}}"#, "{}"),
        (
            "token",
            r#"{"spec":{"roles":["trustedcluster","NODE"]}}"#,
            r#"{"spec":{"roles":["Node","Trusted_cluster"],"join_method":"token"}}"#,
        ),
        (
            "token",
            r#"{"spec":{"allow":[{"aws_account":"1"}]}}"#,
            r#"{"spec":{"allow":[{"aws_account":"1"}],"join_method":"ec2","aws_iid_ttl":"5m"}}"#,
        ),
        (
            "token",
            r#"{"spec":{"join_method":"kubernetes","kubernetes":{}}}"#,
            r#"{"spec":{"join_method":"kubernetes","kubernetes":{"type":"in_cluster"}}}"#,
        ),
        (
            "token",
            r#"{"spec":{"join_method":"gitlab","gitlab":{"domain":"gitlab.com"}}}"#,
            r#"{"spec":{"join_method":"gitlab"}}"#,
        ),
        (
            "token",
            r#"{"spec":{"join_method":"bound_keypair","bound_keypair":{"recovery":{"limit":1}}}}"#,
            r#"{"spec":{"join_method":"bound_keypair","bound_keypair":{"recovery":{"limit":0}}}}"#,
        ),
        (
            "remote_cluster",
            r#"{"status":{"connection":"online","last_heartbeat":"2024-01-01T00:00:00Z"}}"#,
            "{}",
        ),
        (
            "trusted_cluster",
            r#"{"spec":{"web_proxy_addr":"a:443"}}"#,
            r#"{"spec":{"web_proxy_addr":"a:443","tunnel_addr":"a:443","enabled":false}}"#,
        ),
        (
            "workload_cluster",
            r#"{"metadata":{"labels":{"a":"b"},"description":"x"},"spec":{}}"#,
            "{}",
        ),
    ];
    for (name, one, other) in cases {
        let kind = kind::find(name).unwrap();
        let text =
            |json| resource(kind, Cluster::Parent, "x", Value::from_json(json).unwrap()).canonical;
        assert_eq!(text(one), text(other), "{one} and {other}");
    }
    let different = [
        ("role", r#"{"spec":{"options":{"ssh_file_copy":false}}}"#, "{}"),
        ("role", r#"{"spec":{"options":{"port_forwarding":false}}}"#, "{}"),
        (
            "role",
            r#"{"spec":{"allow":{"rules":[{"resources":["a"]},{"resources":["b"]}]}}}"#,
            r#"{"spec":{"allow":{"rules":[{"resources":["b"]},{"resources":["a"]}]}}}"#,
        ),
        ("trusted_cluster", r#"{"spec":{"roles":["a","b"]}}"#, r#"{"spec":{"roles":["b","a"]}}"#),
        (
            "trusted_cluster",
            r#"{"spec":{"role_map":[{"remote":"r","local":["a","b"]}]}}"#,
            r#"{"spec":{"role_map":[{"remote":"r","local":["b","a"]}]}}"#,
        ),
        ("user", r#"{"spec":{"traits":{"empty":[]}}}"#, "{}"),
        ("token", r#"{"spec":{"join_method":"github"}}"#, r#"{"spec":{"join_method":"iam"}}"#),
        ("remote_cluster", r#"{"metadata":{"labels":{"a":"b"}}}"#, "{}"),
        ("kube_cluster", r#"{"metadata":{"labels":{"a":""}}}"#, "{}"),
        ("kube_cluster", r#"{"spec":{"dynamic_labels":{"a":{}}}}"#, "{}"),
    ];
    for (name, one, other) in different {
        let kind = kind::find(name).unwrap();
        let text =
            |json| resource(kind, Cluster::Parent, "x", Value::from_json(json).unwrap()).canonical;
        assert_ne!(text(one), text(other), "{one} and {other}");
    }
}

#[test]
fn masked_values_hold_no_secret() {
    let key = FingerprintKey([7; 32]);
    let cases = [
        (
            "kube_cluster",
            r#"{"metadata":{"name":"k"},"spec":{"kubeconfig":"c2VjcmV0LXRoaW5n","aws":{"region":"r"}}}"#,
            "c2VjcmV0LXRoaW5n",
        ),
        (
            "trusted_cluster",
            r#"{"metadata":{"name":"k"},"spec":{"token":"s3cret-t0ken","web_proxy_addr":"a"}}"#,
            "s3cret-t0ken",
        ),
        // Not even where somebody put it in the wrong type.
        ("trusted_cluster", r#"{"spec":{"token":["s3cret-t0ken"]}}"#, "s3cret-t0ken"),
    ];
    for (name, json, secret) in cases {
        let kind = kind::find(name).unwrap();
        let value = Value::from_json(json).unwrap();
        let masked = mask(kind, &value, &key).to_json();
        for length in 6..=secret.len() {
            for start in 0..=secret.len() - length {
                assert!(!masked.contains(&secret[start..start + length]), "{masked}");
            }
        }
        assert!(masked.contains("(secret "), "{masked}");
        assert_eq!(masked, mask(kind, &value, &key).to_json(), "equal secrets look equal");
        assert_ne!(masked, mask(kind, &value, &FingerprintKey([8; 32])).to_json());
    }
}

#[test]
fn of_two_expiries_of_a_user_each_stays() {
    let kind = kind::find("user").unwrap();
    let canonical = |text: &str| {
        let value = Value::from_json(text).unwrap();
        resource(kind, Cluster::Parent, "u", value).canonical
    };
    let both = r#"{"metadata":{"expires":"2032-01-02T03:04:05Z"},"spec":{"expires":"2031-01-02T03:04:05Z"}}"#;
    let (first, last) = (
        r#"{"spec":{"expires":"2031-01-02T03:04:05Z"}}"#,
        r#"{"metadata":{"expires":"2032-01-02T03:04:05Z"}}"#,
    );
    let texts = [canonical(both), canonical(first), canonical(last)];
    assert!(texts[0].contains("2031") && texts[0].contains("2032"), "{}", texts[0]);
    assert!(texts[0] != texts[1] && texts[1] != texts[2] && texts[0] != texts[2]);
    assert!(!texts[2].contains(r#""spec""#), "it is not written back: {}", texts[2]);
}
