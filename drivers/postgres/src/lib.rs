//! The PostgreSQL driver.
//!
//! An account is a role of its own; what it may do comes by membership in permission roles that hold the
//! rights (see `roles`). Opening is one transaction; closing goes rung by rung and never waits for a lock
//! that a grantee can keep. What is PostgreSQL's own in this is told in the README beside.

mod account;
mod catalogue;
mod check;
mod close;
mod connect;
mod delete;
mod discover;
mod faults;
mod flavour;
mod lines;
mod look;
mod manifest;
mod memberships;
mod observe;
mod open;
mod predecessors;
mod quote;
mod reach;
mod retire;
mod rights;
mod roles;
mod scope;
mod session;
mod sessions;
mod settings;
mod setup;
mod statements;
mod strip;
mod survey;
mod target;
mod version;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use driver::credential::{ITERATIONS, ScramSha256};
use driver::naming;
use driver::{
    Caller, ConfigFault, Connect, Driver, Manifest, Settings, SetupFault, SetupWish, Target, TargetContext,
    TargetSecret,
};
use model::{Failure, Secret, Verifier};
use secrets::binding::Endpoint;
use tokio_postgres::error::SqlState;

use crate::connect::{Connector, own_certificate};
use crate::look::RoleBook;
use crate::manifest::MANIFEST;
use crate::session::{Pool, Purpose};
use crate::settings::Config;
use crate::target::PostgresTarget;

/// The driver for PostgreSQL, version 10 and later.
#[derive(Debug, Clone, Copy, Default)]
pub struct Postgres;

impl Driver for Postgres {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn parse(&self, settings: &Settings) -> Result<Box<dyn Connect>, Vec<ConfigFault>> {
        Ok(Box::new(Checked(Config::read(settings)?)))
    }

    fn verifier(&self, clear: &Secret) -> Result<Option<Verifier>, Failure> {
        Ok(Some(ScramSha256::of(clear, ITERATIONS)?.in_postgres_form()))
    }

    fn setup_script(&self, wish: &SetupWish) -> Result<String, SetupFault> {
        setup::script(wish)
    }
}

/// Checked settings of one server.
struct Checked(Config);

#[async_trait]
impl Connect for Checked {
    fn endpoint(&self) -> Endpoint {
        self.0.endpoint()
    }

    async fn connect(
        &self,
        secret: &TargetSecret,
        context: TargetContext,
    ) -> Result<Box<dyn Target>, Failure> {
        let username = secret.value("username")?;
        let certificate = own_certificate(secret, self.0.ssl_mode)?;
        // A server may know us by the certificate alone.
        let password = match certificate {
            None => Some(secret.value("password")?),
            Some(_) => secret.optional("password"),
        };
        let Caller { instance, epoch, licence } = &context.caller;
        let application_name = naming::session_name(&context.connector, *instance, *epoch);
        let connector = Connector::new(self.0.clone(), username, password, certificate, application_name)?;
        let begun = connector.begun();
        let pool = Pool::new(connector, Arc::clone(licence));
        let mut home = self.0.database.clone();
        let mut guessed = false;
        let mut first = pool.session(&home, Purpose::Read).await;
        if let (Err(fault), Some(other)) = (&first, self.0.second_guess())
            && fault.is(&SqlState::UNDEFINED_DATABASE)
        {
            tracing::warn!(setting = "dbname", "The database `postgre` does not exist; `postgres` is taken");
            (home, guessed) = (other.to_owned(), true);
            first = pool.session(&home, Purpose::Read).await;
        }
        if first.is_err() && !begun.load(Ordering::SeqCst) {
            secret.keep_back();
        }
        first?.settle(Ok(())).await?;
        Ok(Box::new(PostgresTarget { pool, context, home, guessed, book: RoleBook::default() }))
    }
}
