//! What Kubernetes Services serve, as far as this identity may see it.

use super::calls::{LIST_DEADLINE, PAGES_MAX};
use super::pages::Pages;
use super::{CallCode, Cluster};
use crate::kind::kube_server::{self, Servers};

/// Reads all pages. What cannot be read is unknown, never "served by nobody". Servers of clusters
/// whose labels the roles of this identity do not reach are left out by the server, silently.
pub async fn read(cluster: &impl Cluster) -> Servers {
    let mut servers = Vec::new();
    let mut pages = Pages::new(PAGES_MAX);
    loop {
        let request = kube_server::list(pages.token());
        let answer = match cluster.call(request.path, request.body, LIST_DEADLINE).await {
            Ok(answer) => answer,
            Err(error) if error.code == CallCode::PermissionDenied => {
                return Servers::Unknown(format!(
                    "what is served may not be read ({})",
                    error.message
                ));
            }
            Err(error) => {
                return Servers::Unknown(format!("what is served cannot be read: {error}"));
            }
        };
        let page = match kube_server::listed(answer) {
            Ok(page) => page,
            Err(error) => {
                return Servers::Unknown(format!("what is served cannot be read: {error}"));
            }
        };
        servers.extend(page.servers);
        match pages.turn(page.next) {
            Ok(true) => {}
            Ok(false) => return Servers::Known(servers),
            Err(error) => return Servers::Unknown(format!("list of servers: {error}")),
        }
    }
}
