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

/// Takes resources as they are found.
#[async_trait]
pub trait ResourceSink: Send {
    /// Takes some resources; waits when the reader is slow.
    ///
    /// # Errors
    /// `budget_exceeded` when the snapshot is larger than allowed: stop and pass it on.
    async fn take(&mut self, resources: Vec<Resource>) -> Result<(), Failure>;
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
