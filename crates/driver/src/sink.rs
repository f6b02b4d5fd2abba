//! Where discovery and survey tell what they find, piece by piece, so that memory stays bounded.

use async_trait::async_trait;
use model::{Failure, Permission, ResourceId, Sighting};

/// One resource that a target has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    pub id: ResourceId,
    /// What can be had on it.
    pub permissions: Vec<Permission>,
    /// Labels of the target, for example its owner.
    pub tags: std::collections::BTreeMap<String, String>,
}

/// A part of a target that discovery could not look into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unlisted {
    /// What is below it is not known, which is not the same as not there.
    pub under: ResourceId,
    pub failure: Failure,
}

/// Takes resources as they are found.
#[async_trait]
pub trait ResourceSink: Send {
    /// Takes some resources; waits when the reader is slow.
    ///
    /// # Errors
    /// `budget_exceeded` when the snapshot is larger than allowed: stop and pass it on.
    async fn take(&mut self, resources: Vec<Resource>) -> Result<(), Failure>;

    /// Takes note of a part that could not be looked into, while the rest could. A sink that cannot tell of it
    /// passes the failure on, so that nobody takes what was found for all there is.
    ///
    /// # Errors
    /// The failure, when it cannot be told: stop and pass it on.
    async fn miss(&mut self, unlisted: Unlisted) -> Result<(), Failure> {
        Err(unlisted.failure)
    }
}

/// Takes accounts as a survey comes across them.
#[async_trait]
pub trait SightingSink: Send {
    /// Takes some sightings; waits when the reader is slow.
    ///
    /// # Errors
    /// `budget_exceeded` when there are more than allowed: stop and pass it on.
    async fn take(&mut self, sightings: Vec<Sighting>) -> Result<(), Failure>;
}

#[async_trait]
impl ResourceSink for Vec<Resource> {
    async fn take(&mut self, resources: Vec<Resource>) -> Result<(), Failure> {
        self.extend(resources);
        Ok(())
    }
}

#[async_trait]
impl SightingSink for Vec<Sighting> {
    async fn take(&mut self, sightings: Vec<Sighting>) -> Result<(), Failure> {
        self.extend(sightings);
        Ok(())
    }
}
