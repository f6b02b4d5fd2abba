//! Which accesses should live, and the digest by which two sides compare their lists.

use std::collections::BTreeMap;

use aws_lc_rs::digest;
use model::{AccessId, Revision, Timestamp};

use super::request::{Request, Stage};

/// Returns true when the agent should hold the access at `now`. What is not listed is to end.
pub fn should_live(request: &Request, now: Timestamp) -> bool {
    request.stage == Stage::Accepted
        && request.end_asked.is_none()
        && !request.is_over()
        && request.window.is_some_and(|window| window.until > now)
}

/// Returns the SHA-256 over `access id LF revision LF` of each, in the order of ids.
pub fn digest(accesses: &BTreeMap<AccessId, Revision>) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for (id, revision) in accesses {
        context.update(format!("{id}\n{}\n", revision.0).as_bytes());
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}
