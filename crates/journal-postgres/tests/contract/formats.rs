//! What may be in a schema, and which of it is believed.

use journal::lease::{LeaseStore as _, Renewal, Taking};
use journal::{Journal as _, JournalFault};
use journal_postgres::{Database, Options};
use model::{ConnectorId, Incarnation};
use uuid::Uuid;

use super::world::{Schema, batch, keys, put};

async fn opened(options: Options) -> JournalFault {
    Database::open(options).await.unwrap_err()
}

#[tokio::test]
async fn a_schema_that_is_no_journal_of_ours_is_left_alone() {
    let foreign = Schema::fresh().await;
    foreign
        .psql(&format!(
            "CREATE SCHEMA {0} AUTHORIZATION journal_keeper; CREATE TABLE {0}.shop (id int)",
            foreign.name
        ))
        .await;
    let fault = opened(foreign.options(1)).await;
    assert!(fault.to_string().contains("other tables"), "{fault}");
    assert_eq!(
        foreign.psql("SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()").await.trim(),
        "1"
    );

    let ours = Schema::fresh().await;
    ours.open(1).await;
    let other = Options { connector: ConnectorId::parse("harbour-2").unwrap(), ..ours.options(2) };
    let fault = opened(other).await;
    assert!(
        fault.to_string().contains("harbour-1") && fault.to_string().contains("journal.schema"),
        "{fault}"
    );

    let nothing = Schema::fresh().await;
    assert!(Database::open_beside(nothing.options(1)).await.unwrap().is_none());
    assert_eq!(
        nothing.psql("SELECT count(*) FROM pg_namespace WHERE nspname = current_schema()").await.trim(),
        "0"
    );
}

#[tokio::test]
async fn a_newer_journal_asks_for_the_newer_build() {
    let schema = Schema::fresh().await;
    let (_, journal, _) = schema.hold(1).await;
    schema.psql("UPDATE format SET version = 7").await;
    let (_, later, _) = schema.hold(1).await;
    later.append(&batch(1, vec![put("a")])).await.unwrap();
    drop((journal, later));
    schema.psql("UPDATE format SET min_reader = 2").await;
    let too_new = JournalFault::TooNew { needed: 2, ours: 1 };
    assert_eq!(opened(schema.options(1)).await, too_new);
    let beside = Database::open_beside(schema.options(1)).await;
    assert_eq!(beside.unwrap_err(), too_new);
}

#[tokio::test]
async fn a_build_that_was_left_behind_reads_and_waits_longer_for_the_lease_than_others() {
    let schema = Schema::fresh().await;
    let (_, journal, _) = schema.hold(1).await;
    journal.append(&batch(1, vec![put("a")])).await.unwrap();
    schema.psql("UPDATE format SET version = 2, min_reader = 2").await;
    let contents = "SELECT (SELECT string_agg(a::text, ',') FROM account AS a), (SELECT string_agg(f::text, ',') FROM \
        format AS f), (SELECT incarnation || committed || sum FROM head)";
    let before = schema.psql(contents).await;

    let old = Database::open_or_close_only(schema.options(2)).await.unwrap();
    assert_eq!(old.too_new(), Some(&JournalFault::TooNew { needed: 2, ours: 1 }));
    assert!(matches!(old.take().await.unwrap(), Taking::Held(_)), "somebody else has it");
    schema.lapse().await;
    assert!(matches!(old.take().await.unwrap(), Taking::Held(_)), "whoever can do more comes first");
    schema.psql("UPDATE lease SET until = clock_timestamp() - interval '21 seconds'").await;
    assert_eq!(old.take().await.unwrap(), Taking::Taken { epoch: 2 });
    let reading = old.journal(2);
    assert_eq!(keys(&reading).await, ["a"]);
    for refused in [
        reading.append(&batch(2, vec![put("b")])).await.map(drop),
        reading.append(&batch(3, vec![])).await.map(drop),
        reading.begin_incarnation(Incarnation::from_uuid(Uuid::from_u128(9))).await,
    ] {
        assert_eq!(refused.unwrap_err(), JournalFault::TooNew { needed: 2, ours: 1 });
    }
    // It keeps the lease as others do, and another one's late write fails.
    assert_eq!(old.renew(2).await.unwrap(), Renewal::Renewed);
    let late = journal.append(&batch(4, vec![put("c")])).await.unwrap_err();
    assert_eq!(late, JournalFault::Superseded { held: 2, ours: 1 });
    assert_eq!(schema.psql(contents).await, before, "what a newer build wrote was written to");
    reading.close().await.unwrap();
    old.release(2).await.unwrap();

    // One that can use the journal is as it always was.
    schema.psql("UPDATE format SET version = 1, min_reader = 1").await;
    let present = Database::open_or_close_only(schema.options(3)).await.unwrap();
    assert_eq!(present.too_new(), None);
    assert_eq!(present.take().await.unwrap(), Taking::Taken { epoch: 3 });
    present.journal(3).append(&batch(1, vec![put("d")])).await.unwrap();
}

#[tokio::test]
async fn what_was_changed_by_hand_is_damage() {
    let table = [
        ("a body", "UPDATE account SET body = '{\"x\":1}' WHERE key = 'a'"),
        ("a key", "UPDATE account SET key = 'z' WHERE key = 'a'"),
        ("the head", "UPDATE head SET committed = 1"),
        ("a report", "INSERT INTO report VALUES (5, '{}', 0)"),
        ("no head", "DELETE FROM head"),
    ];
    for (name, statement) in table {
        let schema = Schema::fresh().await;
        let (_, journal, _) = schema.hold(1).await;
        journal.append(&batch(1, vec![put("a")])).await.unwrap();
        schema.psql(statement).await;
        let fault = journal.load().await.unwrap_err();
        assert!(matches!(fault, JournalFault::Damaged { .. }), "{name}: {fault}");
    }
}

#[tokio::test]
async fn who_reads_beside_sees_all_and_changes_nothing() {
    let schema = Schema::fresh().await;
    let (_, journal, _) = schema.hold(1).await;
    journal.append(&batch(1, vec![put("a")])).await.unwrap();
    let beside = Database::open_beside(schema.options(2)).await.unwrap().unwrap().beside();
    assert_eq!(keys(&beside).await, ["a"]);
    let statistics = beside.statistics().await.unwrap();
    assert_eq!(statistics.rows[&model::durable::Table::Account], 1);
    assert!(statistics.bytes > 0);
    let refused = beside.append(&batch(2, vec![put("b")])).await.unwrap_err();
    assert!(matches!(refused, JournalFault::NotWritten { .. }), "{refused}");
    beside.close().await.unwrap();
    journal.append(&batch(2, vec![put("c")])).await.unwrap();
    assert_eq!(keys(&journal).await, ["a", "c"]);
}
