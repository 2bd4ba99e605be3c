//! What a proxy tells everybody: `/webapi/find` and `/webapi/ping`.

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode};
use serde_json::{Value, json};
use tonic::body::Body;

use crate::plane::rules::SERVER_VERSION;

/// Clients of older majors are refused by a real server of this version.
const MIN_CLIENT_VERSION: &str = "17.0.0-aa";

/// What there is to be told.
#[derive(Debug, Clone)]
pub(super) struct Web {
    /// The cluster's name.
    pub(super) cluster: String,
    /// Where this server listens.
    pub(super) address: String,
}

impl Web {
    /// The answer; `None`: the path is none of these.
    pub(super) fn answer(&self, method: &Method, path: &str) -> Option<Response<Body>> {
        let path = path.strip_prefix("/v1").unwrap_or(path);
        let told = match path {
            "/webapi/find" => self.find(),
            "/webapi/ping" => self.ping(),
            _ => return None,
        };
        if method == Method::GET {
            return Some(reply(StatusCode::OK, &told));
        }
        Some(reply(StatusCode::METHOD_NOT_ALLOWED, &error("method not allowed")))
    }

    fn find(&self) -> Value {
        let address = &self.address;
        json!({
            "cluster_name": self.cluster,
            "server_version": SERVER_VERSION,
            "min_client_version": MIN_CLIENT_VERSION,
            "edition": "oss",
            "fips": false,
            "automatic_upgrades": false,
            "auto_update": {
                "tools_version": SERVER_VERSION,
                "tools_auto_update": false,
                "agent_version": SERVER_VERSION,
                "agent_auto_update": false,
                "agent_update_jitter_seconds": 60,
            },
            "auth": { "signature_algorithm_suite": "balanced-v1" },
            "proxy": {
                "tls_routing_enabled": true,
                "kube": { "enabled": false },
                "db": {},
                "ssh": {
                    "listen_addr": address,
                    "tunnel_listen_addr": address,
                    "web_listen_addr": address,
                    "public_addr": address,
                    "ssh_public_addr": address,
                    "ssh_tunnel_public_addr": address,
                    "dial_timeout": 0,
                },
            },
        })
    }

    fn ping(&self) -> Value {
        let mut told = self.find();
        if let Some(auth) = told.get_mut("auth") {
            *auth = json!({
                "type": "local",
                "second_factor": "otp",
                "local": { "name": "" },
                "private_key_policy": "none",
                "device_trust": {},
                "has_motd": false,
                "signature_algorithm_suite": "balanced-v1",
                "default_session_ttl": "12h0m0s",
            });
        }
        told
    }
}

/// The answer to everything that is not there.
pub(super) fn not_found() -> Response<Body> {
    reply(StatusCode::NOT_FOUND, &error("path not found"))
}

fn error(message: &str) -> Value {
    json!({ "error": { "message": message } })
}

fn reply(status: StatusCode, told: &Value) -> Response<Body> {
    let body = http_body_util::Full::new(Bytes::from(told.to_string()));
    let mut response = Response::new(Body::new(body));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}
