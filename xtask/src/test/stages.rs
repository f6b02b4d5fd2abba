//! The table of stages and suites: what each is, what it needs, what it runs.

use services::install::Need;

/// A stage or a suite.
pub(super) struct Stage {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) part: Part,
    pub(super) needs: &'static [Need],
    pub(super) steps: &'static [Step],
}

/// When it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// In every run.
    Always,
    /// Only with `--all`, or by name.
    Long,
    /// Only by name: what it runs is also in the stage `tests`.
    Suite,
}

pub(super) enum Step {
    Cargo(&'static [&'static str]),
    /// `cargo test`, counted.
    Tests(&'static [&'static str]),
    /// Builds all programs, which the end-to-end tests start.
    Programs,
    Floors,
    Generated,
    Wire,
    Docs,
    Licences,
    /// Made-up worlds that nobody has looked at yet.
    FreshWorlds(u64),
    Story,
    Measurements,
}

const POSTGRES: &[Need] = &[Need::Postgres15, Need::Psql, Need::Openssl];
/// What the driver is tried on, and some stories of many suites: the oldest server that can be had, and the newest.
const BOTH: &[Need] = &[Need::Postgres15, Need::Postgres18, Need::Psql, Need::Openssl];
/// As [`BOTH`], with the command that gives a crowd of sessions room, and an agent's files none.
const CROWDED: &[Need] = &[Need::Postgres15, Need::Postgres18, Need::Psql, Need::Openssl, Need::Prlimit];

/// What all tests together need.
const OF_TESTS: &[Need] =
    &[Need::Postgres15, Need::Postgres18, Need::Psql, Need::Openssl, Need::Prlimit, Need::Python];

const fn always(
    name: &'static str,
    about: &'static str,
    needs: &'static [Need],
    steps: &'static [Step],
) -> Stage {
    Stage { name, about, part: Part::Always, needs, steps }
}

const fn long(
    name: &'static str,
    about: &'static str,
    needs: &'static [Need],
    steps: &'static [Step],
) -> Stage {
    Stage { name, about, part: Part::Long, needs, steps }
}

const fn suite(
    name: &'static str,
    about: &'static str,
    needs: &'static [Need],
    steps: &'static [Step],
) -> Stage {
    Stage { name, about, part: Part::Suite, needs, steps }
}

/// In the order in which they run: what is quick to fail comes first.
pub(super) const STAGES: &[Stage] = &[
    always("fmt", "the sources are laid out by rustfmt", &[], &[Step::Cargo(&["fmt", "--all", "--check"])]),
    always("floors", "packages lean only on lower floors", &[], &[Step::Floors]),
    always("buf", "the wire is linted and breaks no release", &[Need::Buf], &[Step::Wire]),
    always(
        "clippy",
        "no lint is broken",
        &[],
        &[Step::Cargo(&["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"])],
    ),
    always("gen", "what is generated is as the code says", &[], &[Step::Generated]),
    always(
        "tests",
        "every test that is not long",
        OF_TESTS,
        &[Step::Programs, Step::Tests(&["--workspace", "--no-fail-fast"])],
    ),
    always("docs", "the documentation builds and no link in it is broken", &[], &[Step::Docs]),
    suite(
        "rules",
        "the words and the rules, and their worlds",
        &[],
        &[Step::Tests(&["-p", "model", "-p", "rules", "-p", "simulation"])],
    ),
    suite("seal", "sealing, marks, receipts", &[], &[Step::Tests(&["-p", "seal"])]),
    suite(
        "receipts",
        "receipts: lives of a chain, everybody who verifies, a journal lost and put back; contained, ended, ended with a residual",
        &[Need::Postgres15, Need::Psql, Need::Openssl, Need::Python],
        &[
            Step::Programs,
            Step::Tests(&["-p", "seal", "receipt"]),
            Step::Tests(&["-p", "simulation", "--test", "worlds", "lives::"]),
            Step::Tests(&["-p", "tidegate", "receipts"]),
            Step::Tests(&["-p", "control", "-p", "ctl", "receipts"]),
            Step::Tests(&["-p", "control", "chain"]),
            Step::Tests(&["-p", "e2e", "--test", "e2e", "receipts::"]),
            Step::Tests(&["-p", "e2e", "--test", "e2e", "ladder::"]),
        ],
    ),
    suite(
        "journal",
        "every journal keeps the one contract, and only the holder of the lease writes",
        POSTGRES,
        &[Step::Tests(&["-p", "journal", "-p", "journal-postgres", "-p", "pg"])],
    ),
    suite("secrets", "secret stores and bindings", &[], &[Step::Tests(&["-p", "secrets"])]),
    suite(
        "bindings",
        "no secret is sent where nobody beside the agent allowed it, and closing goes on all the same",
        BOTH,
        &[
            Step::Programs,
            Step::Tests(&["-p", "secrets", "binding"]),
            Step::Tests(&["-p", "simulation", "--test", "worlds", "moved"]),
            Step::Tests(&["-p", "tidegate", "--test", "cli", "bindings"]),
            Step::Tests(&["-p", "e2e", "--test", "e2e", "bindings"]),
        ],
    ),
    suite(
        "guardrails",
        "the operator's own policies: what they say of orders, of what lives, and while they cannot be read",
        POSTGRES,
        &[
            Step::Programs,
            Step::Tests(&["-p", "guardrails"]),
            Step::Tests(&["-p", "simulation", "--test", "worlds", "guard"]),
            Step::Tests(&["-p", "tidegate", "guardrails"]),
            Step::Tests(&["-p", "e2e", "--test", "e2e", "guardrails"]),
        ],
    ),
    suite(
        "wire",
        "the wire, and the agent's link on it",
        &[],
        &[Step::Tests(&["-p", "proto"]), Step::Tests(&["-p", "tidegate", "link"])],
    ),
    suite(
        "postgres",
        "the driver port, and PostgreSQL 15 and 18 under its contract, as a superuser",
        CROWDED,
        &[Step::Tests(&["-p", "driver", "-p", "driver-postgres", "--", "--skip", "_least::"])],
    ),
    suite(
        "least",
        "PostgreSQL 15 and 18 under the contract, as the least privileged admin",
        CROWDED,
        &[Step::Tests(&["-p", "driver-postgres", "--test", "contract", "least"])],
    ),
    suite(
        "tls",
        "PostgreSQL 15 and 18 with TLS: every mode, and logins that ask for too much",
        &[Need::Postgres15, Need::Postgres18Tls, Need::Psql, Need::Openssl],
        &[Step::Tests(&["-p", "driver-postgres", "tls", "--", "--include-ignored"])],
    ),
    suite("agent", "the agent's own rooms, one by one", &[], &[Step::Tests(&["-p", "tidegate", "--lib"])]),
    suite(
        "cli",
        "the agent's command line, by the real binary",
        BOTH,
        &[Step::Tests(&[
            "-p",
            "tidegate",
            "--test",
            "cli",
            "--",
            "--skip",
            "operating",
            "--skip",
            "glass",
            "--skip",
            "bindings",
            "--skip",
            "enemy",
        ])],
    ),
    suite(
        "config",
        "the agent's configuration: what is taken, refused, shown and written",
        &[],
        &[Step::Tests(&["-p", "tidegate", "config"])],
    ),
    suite(
        "operating",
        "operating a running agent: status, breaking the glass, pauses, reloads, metrics, its end",
        CROWDED,
        &[
            Step::Programs,
            Step::Tests(&["-p", "tidegate", "--test", "cli", "operating"]),
            Step::Tests(&["-p", "tidegate", "--test", "cli", "glass"]),
            Step::Tests(&["-p", "e2e", "--test", "e2e", "every_step_of_the_demo"]),
        ],
    ),
    suite(
        "story",
        "one access from request to receipt",
        BOTH,
        &[Step::Programs, Step::Tests(&["-p", "e2e", "story"])],
    ),
    suite(
        "lost_journal",
        "the journal is lost, and marks and identity say what is to be closed",
        POSTGRES,
        &[Step::Programs, Step::Tests(&["-p", "e2e", "lost_journal"])],
    ),
    suite(
        "outage",
        "the target is down, for seconds or for hours, and comes back, also from a backup",
        POSTGRES,
        &[
            Step::Programs,
            Step::Tests(&["-p", "e2e", "outage"]),
            Step::Tests(&["-p", "tidegate", "--test", "cli", "outage"]),
            Step::Tests(&["-p", "e2e", "--test", "e2e", "another_server_under_the_targets_name"]),
        ],
    ),
    suite(
        "offline",
        "the control plane is away, and what is due is done all the same: ends, rotations, deletions",
        POSTGRES,
        &[
            Step::Programs,
            Step::Tests(&["-p", "simulation", "--test", "worlds", "rotation::"]),
            Step::Tests(&["-p", "e2e", "offline"]),
        ],
    ),
    suite(
        "drift",
        "others change what we made on the target: each kind of it, and how much of it is told",
        POSTGRES,
        &[
            Step::Programs,
            Step::Tests(&["-p", "rules", "drift"]),
            Step::Tests(&["-p", "simulation", "--test", "worlds", "drift::"]),
            Step::Tests(&["-p", "driver-postgres", "--test", "contract", "attacks_do_not_succeed"]),
            Step::Tests(&["-p", "e2e", "drift"]),
        ],
    ),
    suite(
        "retire",
        "an integration is retired",
        POSTGRES,
        &[Step::Programs, Step::Tests(&["-p", "e2e", "retire"])],
    ),
    suite(
        "panic",
        "everything ends at once",
        POSTGRES,
        &[
            Step::Programs,
            Step::Tests(&["-p", "control", "everything"]),
            Step::Tests(&["-p", "e2e", "panic"]),
        ],
    ),
    suite(
        "hostile",
        "a control plane that is the enemy: what it tries, and what comes of it",
        BOTH,
        &[
            Step::Programs,
            Step::Tests(&["-p", "tidegate", "--test", "cli", "--", "enemy", "bindings"]),
            Step::Tests(&["-p", "simulation", "--test", "worlds", "a_later_deadline"]),
            Step::Tests(&["-p", "driver-postgres", "--test", "contract", "hostile"]),
            Step::Tests(&["-p", "e2e", "--test", "e2e", "bindings"]),
        ],
    ),
    suite(
        "link",
        "bad and hostile lines to the control plane, proxies, authorities, IPv6, many agents at once",
        POSTGRES,
        &[
            Step::Programs,
            Step::Tests(&["-p", "tidegate", "--lib", "link::"]),
            Step::Tests(&["-p", "tidegate", "--lib", "config::"]),
            Step::Tests(&["-p", "e2e", "--test", "e2e", "link::"]),
        ],
    ),
    suite(
        "standby",
        "two instances of a connector: who is active, and what a late one cannot do",
        POSTGRES,
        &[
            Step::Programs,
            Step::Tests(&["-p", "e2e", "--test", "e2e", "standby"]),
            Step::Tests(&["-p", "tidegate", "--lib", "leadership"]),
            Step::Tests(&["-p", "journal", "lease"]),
            Step::Tests(&["-p", "journal-postgres", "leases"]),
        ],
    ),
    suite(
        "close_only",
        "a newer journal, one that refuses, a full disk, a journal whose database is away, broken guardrails: only closing goes on; needs root",
        &[Need::Postgres15, Need::Psql, Need::Openssl, Need::Python],
        &[
            Step::Programs,
            Step::Tests(&["-p", "tidegate", "--test", "cli", "close_only", "--", "--include-ignored"]),
            Step::Tests(&["-p", "tidegate", "--test", "cli", "a_journal_that_refuses"]),
            Step::Tests(&["-p", "journal", "--test", "contract", "a_full_disk", "--", "--include-ignored"]),
            Step::Tests(&["-p", "journal", "--test", "contract", "formats"]),
            Step::Tests(&["-p", "simulation", "--test", "worlds", "without_a_journal"]),
            Step::Tests(&["-p", "journal-postgres", "--test", "contract", "formats"]),
            Step::Tests(&["-p", "e2e", "--test", "e2e", "without_the_journals_database"]),
            Step::Tests(&["-p", "e2e", "--test", "e2e", "a_shared_journal_that_a_newer_build_left"]),
            Step::Tests(&["-p", "e2e", "--test", "e2e", "while_guardrails_cannot_be_read"]),
        ],
    ),
    suite(
        "clock",
        "clocks that step, sleep and disagree, and the year 2038: the agent's, the control plane's, the target's",
        POSTGRES,
        &[
            Step::Tests(&["-p", "rules", "clock"]),
            Step::Tests(&["-p", "simulation", "--test", "worlds", "clock"]),
            Step::Tests(&["-p", "tidegate", "--lib", "clock"]),
            Step::Tests(&["-p", "tidegate", "--lib", "native_expiry"]),
            Step::Tests(&["-p", "tidegate", "--test", "cli", "clock"]),
        ],
    ),
    suite(
        "mixed",
        "a build of today beside one of the release before: on the wire both ways, and on one journal",
        POSTGRES,
        &[
            Step::Programs,
            Step::Tests(&["-p", "proto", "mixed"]),
            Step::Tests(&["-p", "proto", "compatible"]),
            Step::Tests(&["-p", "tidegate", "--test", "cli", "mixed"]),
            Step::Tests(&["-p", "control", "--test", "control", "mixed"]),
            Step::Tests(&["-p", "e2e", "--test", "e2e", "recorded::"]),
            Step::Tests(&["-p", "journal", "--test", "contract", "formats"]),
            Step::Tests(&["-p", "journal-postgres", "--test", "contract", "formats"]),
        ],
    ),
    suite(
        "cancel",
        "nobody waits for a close any more: when that is possible, and what goes on all the same",
        POSTGRES,
        &[
            Step::Programs,
            Step::Tests(&["-p", "simulation", "--test", "worlds", "cancel"]),
            Step::Tests(&["-p", "control", "--test", "control", "cancel"]),
            Step::Tests(&["-p", "tidegate", "--test", "cli", "cancel"]),
            Step::Tests(&["-p", "e2e", "--test", "e2e", "cancel"]),
        ],
    ),
    suite(
        "restored",
        "journal, control plane, agent and target from a copy, doubled, or replaced by another",
        POSTGRES,
        &[
            Step::Programs,
            Step::Tests(&["-p", "simulation", "--test", "worlds", "backup"]),
            Step::Tests(&["-p", "control", "--test", "control", "restored"]),
            Step::Tests(&["-p", "e2e", "--test", "e2e", "restored::"]),
            Step::Tests(&["-p", "e2e", "--test", "e2e", "a_journal_that_was_put_back"]),
            Step::Tests(&["-p", "e2e", "--test", "e2e", "what_a_backup_brings_back"]),
        ],
    ),
    suite(
        "runbook",
        "each section of docs/runbook.md, with its commands as they stand there",
        POSTGRES,
        &[Step::Programs, Step::Tests(&["-p", "e2e", "--test", "e2e", "runbook::"])],
    ),
    suite(
        "secrecy",
        "no clear secret anywhere",
        POSTGRES,
        &[Step::Programs, Step::Tests(&["-p", "e2e", "secrecy"])],
    ),
    suite(
        "ctl",
        "the control plane and its command line",
        &[Need::Prlimit],
        &[Step::Tests(&["-p", "control", "-p", "ctl"])],
    ),
    suite(
        "codes",
        "every failure code is given by somebody and has its page: what is known, the cause, the way out",
        &[],
        &[Step::Generated, Step::Tests(&["-p", "model", "code"]), Step::Tests(&["-p", "xtask", "codes"])],
    ),
    suite(
        "input",
        "what nobody should send is refused by its field, and nothing of it is half-done",
        POSTGRES,
        &[
            Step::Tests(&["-p", "tidegate", "--test", "cli", "hostile"]),
            Step::Tests(&["-p", "tidegate", "--test", "cli", "configuring"]),
            Step::Tests(&["-p", "tidegate", "--lib", "config"]),
            Step::Tests(&["-p", "tidegate", "--lib", "link"]),
            Step::Tests(&["-p", "control", "hostile"]),
            Step::Tests(&["-p", "control", "rules"]),
        ],
    ),
    suite("services", "the private servers of the tests", BOTH, &[Step::Tests(&["-p", "services"])]),
    long(
        "worlds",
        "the rules in 100,000 fresh made-up worlds; worlds 0 to 9,999 are in `tests`",
        &[],
        &[Step::FreshWorlds(100_000)],
    ),
    suite(
        "fuzz",
        "readers of other people's bytes take spoilt copies",
        &[],
        &[Step::Tests(&[
            "-p",
            "fuzz",
            "-p",
            "seal",
            "-p",
            "secrets",
            "-p",
            "guardrails",
            "-p",
            "simulation",
            "-p",
            "driver-postgres",
            "-p",
            "control",
            "-p",
            "tidegate",
            "fuzz_",
        ])],
    ),
    suite(
        "crash",
        "the agent dies at every step of every act; on PostgreSQL 15 and 18, as a superuser and as the least privileged admin",
        BOTH,
        &[Step::Programs, Step::Tests(&["-p", "e2e", "dies", "--", "--include-ignored"])],
    ),
    suite(
        "many",
        "500 databases, 5,000 accounts, 32 openings at once, 10,000 accesses: with what it takes",
        BOTH,
        &[
            Step::Programs,
            Step::Tests(&[
                "-p",
                "driver-postgres",
                "--test",
                "contract",
                "many_",
                "--",
                "--include-ignored",
                "--nocapture",
                "--test-threads=1",
            ]),
            Step::Tests(&[
                "-p",
                "e2e",
                "--test",
                "e2e",
                "many_",
                "--",
                "--include-ignored",
                "--nocapture",
                "--test-threads=1",
            ]),
            Step::Tests(&[
                "-p",
                "tidegate",
                "--test",
                "cli",
                "many_",
                "--",
                "--include-ignored",
                "--nocapture",
                "--test-threads=1",
            ]),
        ],
    ),
    suite(
        "storm",
        "very many accesses end in the same second, some targets slow, some down: nobody is starved",
        POSTGRES,
        &[Step::Tests(&["-p", "storm", "--", "--nocapture"])],
    ),
    long("deny", "licences, bans and sources of all dependencies", &[Need::CargoDeny], &[Step::Licences]),
    long(
        "long",
        "the tests that take long or need more: also root, for a disk that is really full",
        &[
            Need::Postgres15,
            Need::Postgres18,
            Need::Postgres18Tls,
            Need::Psql,
            Need::Openssl,
            Need::OpenBao,
            Need::Strace,
        ],
        &[Step::Programs, Step::Tests(&["--workspace", "--no-fail-fast", "--", "--ignored"])],
    ),
    long("demo", "the demo's story, every step seen", POSTGRES, &[Step::Story]),
    long(
        "bench",
        "every measurement once",
        &[Need::Postgres15, Need::Psql, Need::Openssl, Need::OpenBao],
        &[Step::Measurements],
    ),
];
