//! One suite for all stores: what [`SecretStore`] promises, as a test that any store's own tests can run.
//!
//! The store's test brings a [`World`] that can put, change and spoil secrets. What cannot happen to a
//! store is said by name, with the reason, and comes back in [`Outcome::impossible`]; nothing is passed
//! over in silence. A broken promise panics, as a test does.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use model::{Certainty, Code, Failure, Retry};

use crate::reference::Reference;
use crate::{Fetched, SecretStore, Stores};

/// Whether a world could do what was asked of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Can {
    Yes,
    /// It cannot happen to this store, because.
    Never(&'static str),
}

/// A store, and a hand inside it.
#[async_trait]
pub trait World: Send {
    /// Returns the store as it is now.
    fn store(&self) -> Arc<dyn SecretStore>;
    /// Returns a reference to the secret of this name, without a field.
    fn reference(&self, name: &str) -> Reference;
    /// Puts a secret, or changes it.
    async fn put(&mut self, name: &str, bytes: &[u8]) -> Can;
    /// Removes a secret.
    async fn remove(&mut self, name: &str);
    /// Lets the store refuse a secret that is there.
    async fn deny(&mut self, name: &str) -> Can;
    /// Lets the store hang on a secret that is there.
    async fn stall(&mut self, name: &str) -> Can;
}

/// What the suite could not show, and why.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub impossible: Vec<(&'static str, &'static str)>,
}

/// What stands in every secret of the suite and in no failure.
const CLEAR: &str = "Zx9-clear-Qw7";

/// Holds a store to its promises.
///
/// # Panics
/// When one is broken.
pub async fn run(world: &mut dyn World) -> Outcome {
    let mut outcome = Outcome::default();
    gives_what_is_there(world).await;
    a_field_picks_a_member(world).await;
    what_is_missing_is_missing(world).await;
    a_rotation_is_noticed(world, &mut outcome).await;
    what_cannot_be_read_is_malformed(world, &mut outcome).await;
    what_is_huge_is_refused(world).await;
    what_is_denied_is_denied(world, &mut outcome).await;
    a_slow_store_is_given_up_on(world, &mut outcome).await;
    outcome
}

async fn gives_what_is_there(world: &mut dyn World) {
    let text = format!(r#"{{"username": "admin", "password": "{CLEAR}"}}"#);
    assert_eq!(world.put("THERE", text.as_bytes()).await, Can::Yes);
    let fetched = fetch(world, "THERE").await.unwrap_or_else(|failure| panic!("what is there: {failure}"));
    assert_eq!(value(&fetched, "password"), CLEAR);
    assert_eq!(value(&fetched, "username"), "admin");
    assert!(!format!("{fetched:?}").contains(CLEAR), "a secret shows in Debug");
    let again = fetch(world, "THERE").await.unwrap_or_else(|failure| panic!("read again: {failure}"));
    assert_eq!(fetched.version, again.version, "the version of an unchanged secret");
    assert!(!fetched.version.as_str().is_empty(), "an empty version");
}

async fn a_field_picks_a_member(world: &mut dyn World) {
    let text = format!(r#"{{"prod": {{"password": "{CLEAR}"}}, "dev": {{"password": "other"}}}}"#);
    assert_eq!(world.put("SEVERAL", text.as_bytes()).await, Can::Yes);
    let whole = String::from(world.reference("SEVERAL"));
    let member = Reference::parse(&format!("{whole}#prod")).unwrap_or_else(|fault| panic!("{fault}"));
    let fetched = world.store().fetch(&member).await.unwrap_or_else(|failure| panic!("a member: {failure}"));
    assert_eq!(value(&fetched, "password"), CLEAR);
    let absent = Reference::parse(&format!("{whole}#none")).unwrap_or_else(|fault| panic!("{fault}"));
    fails(&world.store().fetch(&absent).await, "an absent member", &Code::SECRET_MALFORMED);
}

async fn what_is_missing_is_missing(world: &mut dyn World) {
    fails(&fetch(world, "NEVER").await, "never put", &Code::SECRET_MISSING);
    assert_eq!(world.put("GONE", format!("password={CLEAR}").as_bytes()).await, Can::Yes);
    assert!(fetch(world, "GONE").await.is_ok(), "put");
    world.remove("GONE").await;
    fails(&fetch(world, "GONE").await, "removed", &Code::SECRET_MISSING);
}

async fn a_rotation_is_noticed(world: &mut dyn World, outcome: &mut Outcome) {
    let old = format!("password={CLEAR}A");
    let new = format!("password={CLEAR}B");
    assert_eq!(world.put("ROTATED", old.as_bytes()).await, Can::Yes);
    let before = fetch(world, "ROTATED").await.unwrap_or_else(|failure| panic!("before: {failure}"));
    if let Can::Never(why) = world.put("ROTATED", new.as_bytes()).await {
        outcome.impossible.push(("rotated", why));
        return;
    }
    let after = fetch(world, "ROTATED").await.unwrap_or_else(|failure| panic!("after: {failure}"));
    assert_eq!(value(&after, "password"), format!("{CLEAR}B"), "the new secret");
    assert_ne!(before.version, after.version, "the version of a changed secret of the same length");
}

async fn what_cannot_be_read_is_malformed(world: &mut dyn World, outcome: &mut Outcome) {
    let table: [(&str, &[u8]); 5] = [
        ("EMPTY", b""),
        ("TOKEN", CLEAR.as_bytes()),
        ("OPEN", b"{\"password\": \"Zx9-clear-Qw7"),
        ("TWICE", b"password=Zx9-clear-Qw7\npassword=Zx9-clear-Qw7"),
        ("BYTES", b"password=Zx9-clear-Qw7\xff"),
    ];
    for (name, bytes) in table {
        match world.put(name, bytes).await {
            Can::Yes => fails(&fetch(world, name).await, name, &Code::SECRET_MALFORMED),
            Can::Never(why) => outcome.impossible.push((name, why)),
        }
    }
}

async fn what_is_huge_is_refused(world: &mut dyn World) {
    let huge = format!("password={CLEAR}{}", "x".repeat(crate::value::LARGEST));
    assert_eq!(world.put("HUGE", huge.as_bytes()).await, Can::Yes);
    fails(&fetch(world, "HUGE").await, "huge", &Code::SECRET_MALFORMED);
}

async fn what_is_denied_is_denied(world: &mut dyn World, outcome: &mut Outcome) {
    assert_eq!(world.put("DENIED", format!("password={CLEAR}").as_bytes()).await, Can::Yes);
    match world.deny("DENIED").await {
        Can::Yes => fails(&fetch(world, "DENIED").await, "denied", &Code::SECRET_DENIED),
        Can::Never(why) => outcome.impossible.push(("denied", why)),
    }
}

async fn a_slow_store_is_given_up_on(world: &mut dyn World, outcome: &mut Outcome) {
    assert_eq!(world.put("SLOW", format!("password={CLEAR}").as_bytes()).await, Can::Yes);
    match world.stall("SLOW").await {
        Can::Yes => {
            let stores = Stores::new(Duration::from_millis(200)).with(world.store());
            let answer = stores.fetch(&world.reference("SLOW")).await;
            fails(&answer, "slow", &Code::SECRET_STORE_UNREACHABLE);
            assert_eq!(answer.err().map(|failure| failure.certainty), Some(Certainty::NotDone), "slow");
        }
        Can::Never(why) => outcome.impossible.push(("slow", why)),
    }
}

async fn fetch(world: &dyn World, name: &str) -> Result<Fetched, Failure> {
    world.store().fetch(&world.reference(name)).await
}

fn value<'f>(fetched: &'f Fetched, key: &str) -> &'f str {
    fetched.values.get(key).map_or("", |secret| secret.expose())
}

fn fails(answer: &Result<Fetched, Failure>, name: &str, code: &Code) {
    let Err(failure) = answer else { panic!("{name}: was given") };
    assert_eq!(&failure.code, code, "{name}: {failure}");
    assert_ne!(
        failure.certainty,
        Certainty::Unknown,
        "{name}: reading a secret leaves no doubt about a target"
    );
    assert!(
        failure.retry != Retry::Never,
        "{name}: a secret that is put right later is never read again: {failure:?}"
    );
    let shown = format!("{failure} {failure:?}");
    assert!(!shown.contains(CLEAR), "{name}: the secret shows in {shown}");
}
