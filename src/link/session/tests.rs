use journal::memory::Memory;
use model::durable::{Batch, Write};
use model::{BatchId, Code};
use uuid::Uuid;

use super::*;

/// Reports that were written since the last showing wait for the next one: acknowledged before, they would be taken for
/// reports that were never made, and this journal for an old copy.
#[tokio::test]
async fn no_report_is_sent_before_it_is_shown() {
    let memory = Memory::new(Incarnation::from_uuid(Uuid::from_u128(1)));
    let alarm = Report::Alarm {
        integration: None,
        code: Code::CLOCK_UNTRUSTED,
        detail: "an hour ahead".into(),
        at: Timestamp::from_secs(1),
    };
    let body = serde_json::to_string(&alarm).unwrap();
    let writes = (1..=3).map(|n| Write::Report { position: Position(n), body: body.clone() }).collect();
    memory.append_now(&Batch { id: BatchId(1), writes }).unwrap();
    let (out, mut sent) = mpsc::channel(8);
    let mut writer = Writer {
        out,
        control_plane: Incarnation::from_uuid(Uuid::from_u128(2)),
        journal: Incarnation::from_uuid(Uuid::from_u128(1)),
        sent: Position(0),
        acked: Position(0),
        lapses: 0,
        heard: Arc::default(),
    };
    for (shown, expected) in [(0, 0), (2, 2), (2, 2), (3, 3)] {
        let published = Published { last_report: Position(shown), ..Published::nothing() };
        writer.report(&memory, &published).await.unwrap();
        assert_eq!(
            (writer.sent.0, sent.len()),
            (expected, usize::try_from(expected).unwrap()),
            "shown {shown}"
        );
    }
    sent.close();
}
