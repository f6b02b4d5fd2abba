use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use super::*;

const PAUSE: Duration = Duration::from_secs(1);

fn worker(name: &'static str, stage: Stage, on_exit: OnExit) -> Worker {
    Worker { name, stage, on_exit }
}

async fn until_told(stop: CancellationToken) -> Ended {
    stop.cancelled().await;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_fails_or_panics_is_begun_again() {
    let begun = Arc::new(AtomicU32::new(0));
    let mut crew = Crew::new();
    let count = Arc::clone(&begun);
    crew.hire(worker("frail", Stage::Engine, OnExit::Restart { pause: PAUSE }), move |stop| {
        let time = count.fetch_add(1, Ordering::SeqCst);
        async move {
            match time {
                0 => Err("the first fault".into()),
                1 => panic!("the second is worse"),
                _ => until_told(stop).await,
            }
        }
    });
    let watched = tokio::time::timeout(PAUSE * 10, crew.watch()).await;
    assert!(watched.is_err(), "a restart concerns nobody: {watched:?}");
    assert_eq!(begun.load(Ordering::SeqCst), 3);
    assert!(crew.stop(PAUSE).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_an_end_means_is_told() {
    let table = [
        (
            "close only",
            OnExit::CloseOnly { pause: PAUSE },
            Notice::CloseOnly { worker: "w", reason: "gone".into() },
        ),
        ("stop", OnExit::Stop, Notice::Stop { worker: "w", reason: "gone".into() }),
    ];
    for (name, on_exit, expected) in table {
        let mut crew = Crew::new();
        crew.hire(worker("w", Stage::Engine, on_exit), |_| async { Err("gone".into()) });
        assert_eq!(crew.watch().await, expected, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn stages_stop_one_after_the_other() {
    let order = Arc::new(Mutex::new(vec![]));
    let mut crew = Crew::new();
    for (name, stage) in
        [("admin", Stage::Admin), ("link", Stage::Link), ("orders", Stage::Orders), ("engine", Stage::Engine)]
    {
        let order = Arc::clone(&order);
        crew.hire(worker(name, stage, OnExit::Stop), move |stop| {
            let order = Arc::clone(&order);
            async move {
                stop.cancelled().await;
                // Work in hand is finished before the next stage hears of the end.
                sleep(PAUSE).await;
                order.lock().unwrap().push(name);
                Ok(())
            }
        });
    }
    assert!(crew.stop(PAUSE * 60).await.is_empty());
    assert_eq!(*order.lock().unwrap(), ["orders", "engine", "link", "admin"]);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_end_in_time_is_cut_off_and_the_others_still_hear_of_it() {
    let heard = Arc::new(AtomicU32::new(0));
    let mut crew = Crew::new();
    crew.hire(worker("deaf", Stage::Engine, OnExit::Stop), |_| std::future::pending());
    let count = Arc::clone(&heard);
    crew.hire(worker("link", Stage::Link, OnExit::Stop), move |stop| {
        let count = Arc::clone(&count);
        async move {
            stop.cancelled().await;
            count.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
    });
    assert_eq!(crew.stop(PAUSE).await, ["deaf"]);
    assert_eq!(heard.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_worker_in_its_pause_stops_at_once() {
    let mut crew = Crew::new();
    let pause = Duration::from_secs(3600);
    crew.hire(worker("w", Stage::Engine, OnExit::Restart { pause }), |_| async { Err("gone".into()) });
    assert!(tokio::time::timeout(PAUSE, crew.watch()).await.is_err());
    let before = Instant::now();
    assert!(crew.stop(PAUSE * 60).await.is_empty());
    assert!(before.elapsed() < PAUSE, "took {:?}", before.elapsed());
}
