//! What is asked over plain HTTP: `/webapi/find` and `/webapi/ping`, which a proxy tells everybody,
//! and the calls of the Auth Service that were never moved to gRPC, for callers who are known.

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode};
use serde_json::{Value, json};
use tonic::body::Body;

use super::Status;
use super::grpc::{self, PlaneService};
use crate::plane::rules::{self, SERVER_VERSION};
use crate::plane::status::code;

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

/// Answers a known caller. `/v2/proxies` is the method `GET /proxies` of the core: programs put
/// a version before the path, which has no meaning.
pub(super) async fn ask(service: &PlaneService, method: &Method, path: &str) -> Response<Body> {
    let asked = path.strip_prefix("/v").and_then(|path| path.split_once('/'));
    let asked = asked.map(|(_version, rest)| format!("GET /{rest}"));
    let Some(asked) = asked.filter(|asked| rules::find(asked).is_some()) else {
        return not_found();
    };
    if method != Method::GET {
        return reply(StatusCode::METHOD_NOT_ALLOWED, &error("method not allowed"));
    }
    match service.get(&asked).await {
        Some(Ok(told)) => json_body(StatusCode::OK, told.into()),
        Some(Err(status)) => reply(status_code(&status), &error(&status.message)),
        None => grpc::broken(),
    }
}

/// The number by which HTTP's clients know the failure.
fn status_code(status: &Status) -> StatusCode {
    match status.code {
        code::INVALID_ARGUMENT => StatusCode::BAD_REQUEST,
        code::PERMISSION_DENIED => StatusCode::FORBIDDEN,
        code::NOT_FOUND => StatusCode::NOT_FOUND,
        code::ALREADY_EXISTS => StatusCode::CONFLICT,
        code::FAILED_PRECONDITION => StatusCode::PRECONDITION_FAILED,
        code::RESOURCE_EXHAUSTED => StatusCode::TOO_MANY_REQUESTS,
        code::UNIMPLEMENTED => StatusCode::NOT_IMPLEMENTED,
        code::UNAVAILABLE => StatusCode::REQUEST_TIMEOUT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
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
    json_body(status, told.to_string().into())
}

fn json_body(status: StatusCode, told: Bytes) -> Response<Body> {
    let body = http_body_util::Full::new(told);
    let mut response = Response::new(Body::new(body));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}
