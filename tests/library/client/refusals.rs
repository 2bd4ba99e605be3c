//! A refused write tells what becomes of it, and what a person can do.

use reconciler::engine::Status;
use reconciler::plane::status::code;

use super::{client, fail, plane, role};
use crate::agent::{Agent, quick};

const CREATE_ROLE: &str = "/proto.AuthService/CreateRole";

/// The server's code, and what is told beside its own words.
const REMEDIES: &[(i32, &str)] = &[
    (code::INVALID_ARGUMENT, "correct the manifest"),
    (code::PERMISSION_DENIED, "`reconciler doctor` prints the rule that is missing"),
    (code::UNIMPLEMENTED, "this server does not have the call"),
    (code::ALREADY_EXISTS, "what exists is read before anything else is done"),
    (code::RESOURCE_EXHAUSTED, "it is tried again later"),
    (code::INTERNAL, "read back before anything is tried again"),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_class_of_refusal_has_its_remedy() {
    let mut agents = Vec::new();
    for (code, remedy) in REMEDIES {
        let plane = plane();
        fail(&plane, CREATE_ROLE, *code);
        let agent = Agent::start(client(&plane), quick(), &[("a.yaml", &role("a"))]);
        agents.push((plane, agent, *code, *remedy));
    }
    for (_plane, agent, code, remedy) in agents {
        let told = |status: &Status| {
            let error = status.resources.get("role/a").and_then(|it| it.error.clone());
            error.is_some_and(|error| error.contains("on demand") && error.contains(remedy))
        };
        agent.until(&format!("{code}: {remedy}"), told).await;
        agent.stop().await;
    }
}
