//! The built binary as a user has it: real files, real sockets, `kill -9`.

#[path = "../common/agent.rs"]
mod agent;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/credentials.rs"]
mod credentials;
mod faults;
mod kube_ls;
mod kubeconfig;
mod labels_walk;
mod options;
mod says;
mod serve;
#[path = "../common/served.rs"]
mod served;
mod walk;
