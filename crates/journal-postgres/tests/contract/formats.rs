//! What may be in a schema, and which of it is believed.

use journal::{Journal as _, JournalFault};
use journal_postgres::{Database, Options};
use model::ConnectorId;

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
    assert_eq!(opened(schema.options(1)).await, JournalFault::TooNew { needed: 2, ours: 1 });
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
