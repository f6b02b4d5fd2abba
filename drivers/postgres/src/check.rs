//! `check`: the least that proves the verbs can work. What it makes is rolled back; nothing is left.

use driver::credential::{ITERATIONS, ScramSha256};
use driver::{CheckReport, Grade, Probe};
use model::Secret;
use tokio_postgres::error::SqlState;

use crate::account::column;
use crate::catalogue::{DATABASES, PUBLIC_TABLES, STANDBY};
use crate::connect::{Facts, is_address};
use crate::faults::{Fault, Stage};
use crate::quote::{Ident, Literal, shown};
use crate::reach::{self, Reach, Strangers};
use crate::rights::Right;
use crate::session::{Purpose, Session};
use crate::settings::Config;
use crate::statements::{self, Until};
use crate::target::PostgresTarget;

/// Takes the place of a credential in the dry run; it is never committed and opens nothing.
const NO_CREDENTIAL: &str = "not-a-credential";

pub(crate) fn probe(name: &str, grade: Grade, detail: impl Into<String>) -> Probe {
    Probe { name: name.into(), grade, detail: detail.into() }
}

impl PostgresTarget {
    pub(crate) async fn check_all(&self) -> Result<CheckReport, Fault> {
        let session = self.pool.session(&self.home, Purpose::Read).await?;
        let looked = async {
            let facts = session.facts()?.clone();
            let mut probes = about_the_connection(&facts, self.pool.connector().config());
            if self.guessed {
                probes.push(probe(
                    "dbname",
                    Grade::Warning,
                    "the database `postgre` does not exist, `postgres` was taken: correct the setting",
                ));
            }
            // Asked now: a standby is promoted under sessions that are open.
            let standby =
                session.rows(STANDBY, &[]).await?.first().map_or(Ok(facts.standby), |row| column(row, 0))?;
            probes.push(if standby {
                probe("primary", Grade::Bad, "the server is a standby: point the integration at the primary")
            } else {
                probe("primary", Grade::Good, "the server takes writes")
            });
            probes.extend(reach::service(&session).await?);
            let reach = Reach::read(&session).await?;
            if let Some(reach) = &reach {
                probes.extend(reach.probes(&facts));
            }
            probes.push(self.dry_run(&session, &facts).await?);
            let mut databases: Vec<String> = vec![];
            for row in session.rows(DATABASES, &[]).await? {
                if column(&row, 2)? {
                    databases.extend(column::<String>(&row, 0).ok());
                }
            }
            Ok((facts, probes, databases, reach))
        };
        let outcome = looked.await;
        let (facts, mut probes, databases, reach) = session.settle(outcome).await?;
        probes.extend(self.databases(&databases, reach.as_ref(), &facts).await?);
        probes.push(self.permission_roles().await?);
        Ok(CheckReport { probes, product: "PostgreSQL".into(), version: facts.version.to_string() })
    }

    /// Makes an account and a permission role, joins and opens them, and rolls all of it back.
    async fn dry_run(&self, session: &Session, facts: &Facts) -> Result<Probe, Fault> {
        let account = Ident::asked(&self.shared_name("probe", &[], "account")?)?;
        let role = Ident::asked(&self.shared_name("probe", &[], "role")?)?;
        let verifier = ScramSha256::of(&Secret::new(NO_CREDENTIAL.into()), ITERATIONS)?.in_postgres_form();
        let steps = [
            statements::BEGIN.to_owned(),
            statements::create_account(&account, Until::Past, None, None),
            statements::create_shared(&role),
            statements::comment(&account, Some(&Literal::of("tidegate"))),
            statements::join(&role, &account, facts.version),
            statements::credential(&account, &Literal::of(&verifier.0)),
            statements::open_login(&account, 1),
            statements::shut_login(&account),
            statements::scramble(&account),
        ];
        let mut done = Ok(());
        for step in &steps {
            done = session.run(step, Stage::Harmless).await;
            if done.is_err() {
                break;
            }
        }
        if done.as_ref().is_err_and(|fault| fault.lost) {
            done?;
            return Ok(probe("accounts", Grade::Bad, "the connection was lost"));
        }
        session.run("ROLLBACK", Stage::Harmless).await?;
        Ok(match done {
            Ok(()) if facts.superuser => probe(
                "accounts",
                Grade::Good,
                "the admin is a superuser and can make, open and close accounts",
            ),
            Ok(()) => probe(
                "accounts",
                Grade::Good,
                "the admin can make, open and close accounts, and is no superuser (mode least): `tidegate drivers \
                 postgres` says what that leaves out",
            ),
            Err(fault) if fault.is(&SqlState::INSUFFICIENT_PRIVILEGE) => probe(
                "accounts",
                Grade::Bad,
                "an account cannot be made: the admin lacks a right, see `right`",
            ),
            Err(fault) => {
                probe("accounts", Grade::Bad, format!("an account cannot be made: {}", fault.failure.detail))
            }
        })
    }

    /// Connects to every database, and looks at what PUBLIC may do there.
    async fn databases(
        &self,
        databases: &[String],
        reach: Option<&Reach>,
        facts: &Facts,
    ) -> Result<Vec<Probe>, Fault> {
        let (mut closed, mut public) = (vec![], vec![]);
        let mut strangers = Strangers::default();
        for database in databases {
            let session = match self.pool.session(database, Purpose::Read).await {
                Ok(session) => session,
                Err(fault) if fault.state.is_some() => {
                    let right = Right::Connect(Ident::found(database));
                    let give = reach.map(|reach| reach.say(&right, facts.version));
                    closed.push(format!(
                        "{}{}",
                        shown(database),
                        give.map_or_else(String::new, |text| format!(" ({text})"))
                    ));
                    continue;
                }
                Err(fault) => return Err(fault),
            };
            let look = async {
                strangers.look(&session).await?;
                session.rows(PUBLIC_TABLES, &[]).await
            };
            let outcome = look.await;
            let rows = session.settle(outcome).await?;
            if rows.first().map_or(Ok(0_i64), |row| column(row, 0))? > 0 {
                public.push(shown(database));
            }
        }
        let count = databases.len();
        let owners = reach.map(|reach| strangers.probes(reach, facts.version)).unwrap_or_default();
        let mut probes = vec![
            if closed.is_empty() {
                probe("databases", Grade::Good, format!("all {count} databases can be connected to"))
            } else {
                let detail = format!(
                    "cannot be connected to: {}; nothing there can be given or taken",
                    closed.join(", ")
                );
                probe("databases", Grade::Warning, detail)
            },
            if public.is_empty() {
                probe("public", Grade::Good, "PUBLIC has no rights on tables")
            } else {
                let detail = format!(
                    "PUBLIC has rights on tables in {}: every account has them, and no close takes them",
                    public.join(", ")
                );
                probe("public", Grade::Warning, detail)
            },
        ];
        probes.extend(owners);
        Ok(probes)
    }

    /// Looks at every permission role of ours.
    async fn permission_roles(&self) -> Result<Probe, Fault> {
        let (roles, mut found) = (self.our_permission_roles().await?, vec![]);
        for role in &roles {
            let beyond = match self.look_at(role).await {
                Ok(look) => look.beyond,
                // The database is gone: nothing can be held there.
                Err(fault) if fault.state.is_some() => continue,
                Err(fault) => return Err(fault),
            };
            found.extend(beyond.iter().map(|what| format!("{}: {}", shown(&role.name), what.escape_debug())));
        }
        let count = roles.len();
        Ok(if found.is_empty() {
            probe("permission roles", Grade::Good, format!("{count} permission roles hold what they should"))
        } else {
            let detail =
                format!("wider than they should be, so they give no new access: {}", found.join("; "));
            probe("permission roles", Grade::Warning, detail)
        })
    }
}

fn about_the_connection(facts: &Facts, config: &Config) -> Vec<Probe> {
    let mode = config.ssl_mode.word();
    let mut probes = vec![match (facts.encrypted, config.ssl_mode.verifies()) {
        (true, true) => probe("tls", Grade::Good, format!("encrypted, and the server verified ({mode})")),
        (true, false) => probe(
            "tls",
            Grade::Warning,
            format!(
                "encrypted, but anybody could answer in the server's place ({mode}): use `sslmode` verify-full"
            ),
        ),
        (false, _) => probe(
            "tls",
            Grade::Warning,
            format!("not encrypted ({mode}): turn TLS on at the server and use `sslmode` verify-full"),
        ),
    }];
    probes.push(if facts.password_encryption == "scram-sha-256" {
        probe("passwords", Grade::Good, "the server keeps passwords as SCRAM verifiers")
    } else {
        probe(
            "passwords",
            Grade::Warning,
            "the server's own passwords are not SCRAM (`password_encryption`); accounts get SCRAM verifiers all \
             the same, so their clients must speak SCRAM",
        )
    });
    probes.push(if is_address(&facts.identity) {
        probe(
            "identity",
            Grade::Warning,
            "the server does not tell its system identifier, so its address stands for it",
        )
    } else {
        probe("identity", Grade::Good, "the server tells its system identifier")
    });
    probes
}
