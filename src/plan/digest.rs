//! Digests that may leave the process: contents enter under the installation's key.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::{Action, DeferReason, Deferred, Plan, Policy, Step};
use crate::live::Coverage;
use crate::model::{Digest, FingerprintKey};

/// A keyed digest of a resource's content: equal for equal contents of one installation, and
/// useless for guessing a short secret in it.
pub(super) fn content(key: &FingerprintKey, digest: &Digest) -> [u8; 32] {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.0).expect("HMAC takes a key of any length");
    mac.update(b"content");
    mac.update(digest.as_bytes());
    mac.finalize().into_bytes().into()
}

/// The content that a step is about: what it writes, or what it removes.
pub(super) fn of_step(key: &FingerprintKey, step: &Step) -> [u8; 32] {
    content(
        key,
        match &step.action {
            Action::Create { after }
            | Action::Update { before: _, after, changes: _ }
            | Action::Adopt { live: _, after } => &after.digest,
            Action::Delete { before } => &before.digest,
        },
    )
}

/// The digest of a whole plan.
pub(super) fn plan(plan: &Plan, policy: &Policy, key: &FingerprintKey) -> Digest {
    let Plan {
        steps,
        deferred,
        not_applied: _,
        forget,
        unmatched,
        coverage,
        source_whole,
        unchanged: _,
        digest: _,
    } = plan;
    let mut parts: Vec<Vec<u8>> = Vec::new();
    section(&mut parts, "steps", steps.len());
    for step in steps {
        add_step(&mut parts, key, step);
    }
    section(&mut parts, "deferred", deferred.len());
    for Deferred { id, why, at: _ } in deferred {
        parts.push(id.to_string().into_bytes());
        // The server's text may differ each time; that nothing is known does not.
        let is_text = matches!(why, DeferReason::LiveUnknown(_));
        let told = if is_text { why.code().to_owned() } else { format!("{why:?}") };
        parts.push(told.into_bytes());
    }
    section(&mut parts, "forget", forget.len());
    parts.extend(forget.iter().map(|id| id.to_string().into_bytes()));
    // Plans of before there were selectors keep their digest.
    if !unmatched.is_empty() {
        section(&mut parts, "unmatched", unmatched.len());
        parts.extend(unmatched.iter().map(|it| it.id.to_string().into_bytes()));
    }
    section(&mut parts, "coverage", coverage.len());
    for ((cluster, kind), coverage) in coverage {
        parts.push(format!("{cluster:?}/{kind}").into_bytes());
        parts.push(match coverage {
            Coverage::Complete => b"complete".to_vec(),
            Coverage::Partial(_) => b"partial".to_vec(),
        });
    }
    parts.push(format!("whole {source_whole}").into_bytes());
    let Policy { agent, max_delete_percent, max_delete_free, confirm } = policy;
    parts.push(agent.clone().into_bytes());
    parts.push(format!("{max_delete_percent} {max_delete_free}").into_bytes());
    parts.extend(confirm.iter().map(|kind| kind.as_str().as_bytes().to_vec()));
    Digest::of_parts(parts.iter().map(Vec::as_slice))
}

fn section(parts: &mut Vec<Vec<u8>>, name: &str, length: usize) {
    parts.push(format!("{name} {length}").into_bytes());
}

fn add_step(parts: &mut Vec<Vec<u8>>, key: &FingerprintKey, step: &Step) {
    let Step { id, action, reason, note: _, at: _, after } = step;
    parts.push(id.to_string().into_bytes());
    parts.push(format!("{} {reason:?} {}", action.verb(), after.len()).into_bytes());
    parts.extend(after.iter().map(|id| id.to_string().into_bytes()));
    parts.push(of_step(key, step).to_vec());
    let before = match action {
        Action::Create { after: _ } => None,
        Action::Update { before, after: _, changes: _ } | Action::Delete { before } => Some(before),
        Action::Adopt { live, after: _ } => Some(live),
    };
    parts.push(match before {
        None => Vec::new(),
        Some(live) => {
            [format!("{:?}", live.revision).as_bytes(), content(key, &live.digest).as_slice()]
                .concat()
        }
    });
}
