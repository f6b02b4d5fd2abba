//! Earlier instances of a connector: their sessions are ended, nobody else's; and without leave nothing is sent.

use std::sync::Arc;

use driver::contract::World as _;
use driver::{Caller, Licence, Predecessors, TargetContext, naming};
use model::{Code, ConnectorId, Failure, InstanceId, Towards};
use uuid::Uuid;

use crate::people::{House, context};

/// Gives no leave.
#[derive(Debug)]
struct Never;

impl Licence for Never {
    fn admits(&self, _: Towards) -> Result<(), Failure> {
        Err(Failure::not_done(Code::LEASE_NOT_HELD, "another instance took over"))
    }
}

pub(crate) async fn all(house: &House) {
    only_earlier_epochs_of_this_connector_are_ended(house).await;
    nothing_is_sent_without_leave(house).await;
}

fn instance(number: u128, epoch: u64, connector: &str) -> TargetContext {
    let caller = Caller::new(InstanceId::from_uuid(Uuid::from_u128(number)), epoch);
    TargetContext { connector: ConnectorId::parse(connector).unwrap(), caller, ..context() }
}

async fn only_earlier_epochs_of_this_connector_are_ended(house: &House) {
    let table = [
        ("an earlier one", instance(101, 1, "harbour"), true),
        ("one without a lease", instance(102, 0, "harbour"), true),
        ("the same epoch", instance(103, 3, "harbour"), false),
        ("a later one", instance(104, 4, "harbour"), false),
        ("another connector's", instance(105, 1, "elsewhere"), false),
    ];
    let mut targets = vec![];
    for (_, context, _) in &table {
        // Each has a session at least, which lies idle.
        targets.push(house.world.connect(context.clone()).await.unwrap());
    }
    let ours = house.world.connect(instance(100, 3, "harbour")).await.unwrap();
    let ended = ours.end_predecessors().await.unwrap();
    assert!(matches!(ended, Predecessors::Ended { sessions } if sessions >= 2), "{ended:?}");
    let admin = house.admin("postgres").await;
    for (name, context, gone) in &table {
        let session = naming::session_name(&context.connector, context.caller.instance, context.caller.epoch);
        let there =
            format!("SELECT count(*)::text FROM pg_stat_activity WHERE application_name = '{session}'");
        let there = admin.one(&there).await.unwrap().unwrap();
        assert_eq!(there == "0", *gone, "{name}: {there} sessions");
    }
    assert_eq!(ours.end_predecessors().await.unwrap(), Predecessors::Ended { sessions: 0 });
    // Whoever is left works on, and so does the one whose session was ended: it connects anew.
    for target in &targets {
        target.identify().await.unwrap();
    }
}

async fn nothing_is_sent_without_leave(house: &House) {
    let refused = TargetContext {
        caller: Caller { licence: Arc::new(Never), ..Caller::new(InstanceId::from_uuid(Uuid::nil()), 3) },
        ..context()
    };
    let target = house.world.connect(refused).await.unwrap();
    let (order, _) = house.order("without-leave", &[]).await;
    let account = order.spec.account.to_ref();
    let tried = [
        ("open", target.open(&order).await.map(drop)),
        ("grant", target.grant(&account, &order.wanted).await),
        ("shut", target.revoke(&account, model::Rung::ShutLogin).await),
        ("end sessions", target.revoke(&account, model::Rung::EndSessions).await),
        ("delete", target.delete(&account, driver::HeirPolicy::KeepShut).await),
    ];
    for (name, outcome) in tried {
        let failure = outcome.unwrap_err();
        assert_eq!(failure.code, Code::LEASE_NOT_HELD, "{name}: {failure:?}");
        assert_eq!(failure.certainty, model::Certainty::NotDone, "{name}");
    }
    let name = account.name.0.as_str();
    let there = format!("SELECT count(*)::text FROM pg_roles WHERE rolname = '{name}'");
    assert_eq!(house.admin("postgres").await.one(&there).await.unwrap().unwrap(), "0");
    target.identify().await.unwrap();
}
