//! The servers of the cluster, which the programs still ask for over HTTP: `tctl tokens add` and
//! `tctl bots add` print how to reach them. Here one server is everything.

use std::time::Duration;

use serde_json::{Value, json};

use super::cluster::{self, SERVER_VERSION};
use super::{Rules, Tx, read};
use crate::plane::status::Status;

const AUTH_SERVER: &str = "auth_server";
const PROXY: &str = "proxy";

/// A server announces itself every few minutes, and is forgotten after this time.
const ANNOUNCED: Duration = Duration::from_mins(10);

pub(super) static RULES: Rules = Rules {
    kind: AUTH_SERVER,
    methods: &[read("GET /authservers", auth_servers), read("GET /proxies", proxies)],
    events: None,
    expire: None,
};

fn auth_servers(tx: &mut Tx<'_>, _body: &[u8]) -> Result<Vec<u8>, Status> {
    allow(tx, AUTH_SERVER)?;
    encoded(&json!([server(tx, AUTH_SERVER)?]))
}

fn proxies(tx: &mut Tx<'_>, _body: &[u8]) -> Result<Vec<u8>, Status> {
    allow(tx, PROXY)?;
    let mut proxy = server(tx, PROXY)?;
    if let Some(Value::Object(spec)) = proxy.get_mut("spec") {
        spec.insert("public_addrs".to_owned(), json!([tx.settings.proxy_address]));
    }
    encoded(&json!([proxy]))
}

/// Unlike gRPC's calls, this names only the first verb that is lacking.
fn allow(tx: &Tx<'_>, kind: &str) -> Result<(), Status> {
    tx.allow(kind, "list")?;
    tx.allow(kind, "read")
}

fn server(tx: &Tx<'_>, kind: &str) -> Result<Value, Status> {
    let cluster = cluster::load(tx)?.spec.unwrap_or_default();
    Ok(json!({
        "kind": kind,
        "version": "v2",
        "metadata": {
            "name": cluster.cluster_id,
            "expires": tx.now.wall.plus(ANNOUNCED).to_string(),
        },
        "spec": {
            "addr": tx.settings.proxy_address,
            "hostname": cluster.cluster_name,
            "version": SERVER_VERSION,
        },
    }))
}

fn encoded(told: &Value) -> Result<Vec<u8>, Status> {
    serde_json::to_vec(told).map_err(|error| Status::internal(error.to_string()))
}
