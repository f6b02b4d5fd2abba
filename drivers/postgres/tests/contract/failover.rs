//! A standby, and the day on which it takes over: typed refusals until then, and afterwards everything goes on.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use driver::contract::{World, WorldFault};
use driver::{Grade, HeirPolicy, Target};
use model::{Certainty, Code, Failure, Login, Observed, Rung, Sighting};
use services::postgres::Postgres;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::attacks::orders;
use crate::people::{House, LADDER, set};

/// An address behind which one server stands at a time.
struct Address {
    port: u16,
    server: Arc<Mutex<SocketAddr>>,
    _service: JoinSet<()>,
}

impl Address {
    async fn of(server: &Postgres) -> Result<Self, WorldFault> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let server = Arc::new(Mutex::new(Self::address(server)));
        let behind = Arc::clone(&server);
        let mut service = JoinSet::new();
        service.spawn(async move {
            let mut lines = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                let now = *behind.lock().unwrap_or_else(PoisonError::into_inner);
                lines.spawn(async move {
                    if let Ok(mut far) = TcpStream::connect(now).await {
                        drop(tokio::io::copy_bidirectional(&mut near, &mut far).await);
                    }
                });
            }
        });
        Ok(Self { port, server, _service: service })
    }

    fn address(server: &Postgres) -> SocketAddr {
        format!("{}:{}", server.host(), server.port()).parse().unwrap()
    }

    /// Puts another server behind it, for connections from now on.
    fn move_to(&self, server: &Postgres) {
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Self::address(server);
    }
}

pub(crate) async fn all(house: House) {
    let standby = house.world.server.standby(&house.world.options).unwrap();
    let address = Address::of(&house.world.server).await.unwrap();
    let target = house.through(address.port).await;
    let identity = target.identify().await.unwrap();

    let (order, clear) = house.order("ann", &[orders()]).await;
    let ann = target.open(&order).await.unwrap();
    standby.catch_up(&house.world.server).unwrap();

    // Pointed at the standby by mistake, or after half a failover.
    let aside = Address::of(&standby).await.unwrap();
    let there = house.through(aside.port).await;
    assert_eq!(there.identify().await.unwrap(), identity, "a standby is the same system");
    assert_eq!(open(&*there, &ann).await, Login::Open, "what is there can be read");
    let mut sightings: Vec<Sighting> = vec![];
    there.survey(&mut sightings).await.unwrap();
    assert_eq!(sightings.len(), 1, "and surveyed");
    let report = there.check().await.unwrap();
    let primary = report.probes.iter().find(|probe| probe.name == "primary").unwrap();
    assert_eq!(primary.grade, Grade::Bad, "{primary:?}");
    let (bobs, _) = house.order("bob", &[orders()]).await;
    let wanted = set(&[orders()]);
    for (verb, answer) in [
        ("open", there.open(&bobs).await.map(drop)),
        ("create", there.create(&bobs.spec).await.map(drop)),
        ("rotate", there.rotate(&ann, &bobs.credential).await),
        ("enable", there.enable(&ann).await),
        ("renew", there.renew(&ann, &order.spec.mark, order.spec.expires).await),
        ("grant nothing", there.grant(&ann, &set(&[])).await),
        ("shut", there.revoke(&ann, Rung::ShutLogin).await),
        ("strip", there.revoke(&ann, Rung::Strip).await),
        ("scramble", there.revoke(&ann, Rung::Scramble).await),
        ("delete", there.delete(&ann, HeirPolicy::HandOver).await),
    ] {
        read_only(verb, answer);
    }
    assert_eq!(target.grant(&ann, &wanted).await, Ok(()), "nothing of that came to the primary");

    // What was opened last does not come to the standby any more.
    standby.stop(services::postgres::Mode::Fast).unwrap();
    let lost = target.open(&bobs).await.unwrap();
    house.world.server.kill9().unwrap();
    let gone = target.revoke(&ann, Rung::ShutLogin).await.unwrap_err();
    assert_eq!(gone.code, Code::UNREACHABLE, "{gone}");
    standby.start().unwrap();
    address.move_to(&standby);
    read_only("on the new address, not promoted yet", target.revoke(&ann, Rung::ShutLogin).await);

    standby.promote().unwrap();
    assert_eq!(target.identify().await.unwrap(), identity, "the promoted one is the same system");
    let report = target.check().await.unwrap();
    assert!(report.probes.iter().all(|probe| probe.grade != Grade::Bad), "{report:?}");
    assert_eq!(open(&*target, &ann).await, Login::Open, "who had access has it");
    let login = house.login_at(&order.spec.account.name, &clear, &standby);
    let line = timeout(Duration::from_secs(10), login).await.unwrap().unwrap();
    assert!(target.observe(&lost).await.unwrap().is_absent(), "and what the standby never had is not there");
    for rung in LADDER {
        assert_eq!(target.revoke(&lost, rung).await, Ok(()), "closing it is no trouble");
    }
    let again = target.open(&bobs).await.unwrap();
    assert_ne!(again.immutable, lost.immutable, "opened again it is another account");
    for account in [&ann, &again] {
        for rung in LADDER {
            target.revoke(account, rung).await.unwrap();
        }
        let observed: Observed = target.observe(account).await.unwrap();
        assert!(observed.is_closed(), "{observed:?}");
        target.delete(account, HeirPolicy::HandOver).await.unwrap();
    }
    drop(line);
    let report = target.retire().await.unwrap();
    assert!(report.left.is_empty(), "{report:?}");
    assert!(house.world.now().await.is_err(), "all of that without the old primary");
}

async fn open(target: &dyn Target, account: &model::AccountRef) -> Login {
    target.observe(account).await.unwrap().account.unwrap().login
}

fn read_only(verb: &str, answer: Result<(), Failure>) {
    let failure = answer.expect_err(verb);
    assert_eq!((failure.code, failure.certainty), (Code::READ_ONLY, Certainty::NotDone), "{verb}");
}
