//! What is not known is called so, and nothing goes on until it is known again.

use std::time::Duration;

use journal::lease::{LeaseStore as _, Renewal, Taking};
use journal::{Journal as _, JournalFault};
use journal_postgres::{Database, Options};

use super::world::{Schema, Server, batch, keys, put};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_without_an_answer_is_lost_until_its_transaction_is_over() {
    let schema = Schema::on(Server::launch().await);
    let options =
        Options { statement: Duration::from_secs(1), deadline: Duration::from_secs(10), ..schema.options(1) };
    let database = Database::open(options).await.unwrap();
    let Taking::Taken { epoch } = database.take().await.unwrap() else { panic!("somebody holds it") };
    let journal = database.journal(epoch);
    journal.append(&batch(1, vec![put("a")])).await.unwrap();

    // From now on a COMMIT waits for a standby that there is not.
    let wait = "ALTER SYSTEM SET synchronous_standby_names = 'nobody'";
    schema.psql(wait).await;
    schema.psql("SELECT pg_reload_conf()").await;
    let lost = loop {
        // The setting reaches each process a moment later.
        match journal.append(&batch(2, vec![put("b")])).await {
            Ok(_) => {}
            Err(fault) => break fault,
        }
    };
    assert!(lost.is_lost(), "{lost}");
    assert!(journal.append(&batch(3, vec![put("c")])).await.unwrap_err().is_lost());
    // It is not said to be absent, though nobody can see it yet.
    let unsure = journal.load().await.unwrap_err();
    assert!(unsure.is_lost(), "{unsure}");
    assert!(journal.append(&batch(4, vec![put("d")])).await.unwrap_err().is_lost());

    schema.psql("ALTER SYSTEM RESET synchronous_standby_names").await;
    schema.psql("SELECT pg_reload_conf()").await;
    let there = loop {
        match journal.load().await {
            Ok(loaded) => break loaded.rows.len(),
            Err(fault) => assert!(fault.is_lost(), "{fault}"),
        }
    };
    assert_eq!(there, 2, "the COMMIT that waited was done");
    journal.append(&batch(5, vec![put("e")])).await.unwrap();
    assert_eq!(keys(&journal).await, ["a", "b", "e"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_refuses_and_is_found_again() {
    let schema = Schema::on(Server::launch().await);
    let (database, journal, epoch) = schema.hold(1).await;
    journal.append(&batch(1, vec![put("a")])).await.unwrap();
    schema.server.restart().await;
    // The sessions that a restart ended cost one try at most.
    for id in 2..4 {
        match journal.append(&batch(id, vec![put(&id.to_string())])).await {
            Ok(_) | Err(JournalFault::NotWritten { .. }) => {}
            Err(fault) => panic!("{fault}"),
        }
    }
    journal.append(&batch(4, vec![put("4")])).await.unwrap();
    let there = keys(&journal).await;
    assert!(there.contains(&"a".to_owned()) && there.contains(&"4".to_owned()), "{there:?}");

    schema.server.stop().await;
    for id in 5..8 {
        let refused = journal.append(&batch(id, vec![put("away")])).await.unwrap_err();
        assert!(matches!(refused, JournalFault::NotWritten { .. }), "{refused}");
    }
    assert!(database.renew(epoch).await.unwrap_err().is_lost());
    assert!(journal.load().await.unwrap_err().is_lost());
    schema.server.start().await;
    assert_eq!(database.renew(epoch).await.unwrap(), Renewal::Renewed);
    assert_eq!(keys(&journal).await, there, "what was refused is there");
    journal.append(&batch(8, vec![put("8")])).await.unwrap();
}

#[tokio::test]
async fn a_hand_that_holds_the_head_makes_writes_wait_and_then_be_refused() {
    let schema = Schema::fresh().await;
    let (_, journal, _) = schema.hold(1).await;
    journal.append(&batch(1, vec![put("a")])).await.unwrap();
    let hand = schema.clone();
    let held = tokio::task::JoinSet::from_iter([async move {
        hand.psql("BEGIN; SELECT * FROM head FOR UPDATE; SELECT pg_sleep(3); ROLLBACK").await
    }]);
    let refused = loop {
        match journal.append(&batch(2, vec![put("b")])).await {
            Ok(_) => {}
            Err(fault) => break fault,
        }
    };
    assert!(matches!(refused, JournalFault::NotWritten { .. }), "{refused}");
    assert!(refused.to_string().contains("55P03"), "{refused}");
    let reading = keys(&journal).await;
    assert!(reading.contains(&"a".to_owned()), "reads wait for nobody");
    held.join_all().await;
    journal.append(&batch(3, vec![put("c")])).await.unwrap();
}
