//! The routes of the REST API, one file a subject: take apart what came, call a change or read, put together
//! the answer. No rules here.

pub(super) mod audit;
pub(super) mod connectors;
pub(super) mod credentials;
pub(super) mod everything;
pub(super) mod health;
pub(super) mod integrations;
pub(super) mod people;
pub(super) mod policy;
pub(super) mod receipts;
pub(super) mod requests;
pub(super) mod resources;
pub(super) mod session;
pub(super) mod strays;
