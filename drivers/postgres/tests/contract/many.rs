//! Many of everything: databases and tables, accounts, openings at once.
//!
//! The contract's own case has 32 openings that may be told to come again. Here nobody is told so, nobody waits
//! for somebody who waits for them, levels and scopes overlap, two instances take turns, and the roles that they
//! share are not there yet.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use driver::contract::World as _;
use driver::{
    Driver as _, HeirPolicy, OpenOrder, Resource, ResourceSink, SightingSink, Target, Unlisted, credential,
};
use driver_postgres::Postgres as PostgresDriver;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream;
use model::{AccountRef, Entitlement, Failure, MarkState, ResourceId, Sighting, Span};
use tokio::time::Instant;

use crate::inventory::inventory;
use crate::people::{Grantee, House, LADDER, outcome, set};
use crate::world::table;

/// What the driver tells at once, at most.
const PAGE: usize = 500;
/// What a survey tells at once, at most.
const SURVEY_PAGE: usize = 200;
/// As many calls of the agent are under way on one target.
const AT_ONCE: usize = 8;

#[expect(clippy::print_stdout, reason = "what was measured is for whoever reads the test's output")]
fn tell(measured: String) {
    println!("many: {measured}");
}

/// Counts what discovery tells, and keeps no more than the parts that it could not look into.
#[derive(Default)]
struct Counted {
    pages: usize,
    largest: usize,
    kinds: BTreeMap<String, usize>,
    unlisted: Vec<Unlisted>,
}

#[async_trait]
impl ResourceSink for Counted {
    async fn take(&mut self, resources: Vec<Resource>) -> Result<(), Failure> {
        self.pages += 1;
        self.largest = self.largest.max(resources.len());
        for resource in resources {
            *self.kinds.entry(resource.id.kind.0).or_default() += 1;
        }
        Ok(())
    }

    async fn miss(&mut self, unlisted: Unlisted) -> Result<(), Failure> {
        self.unlisted.push(unlisted);
        Ok(())
    }
}

/// A database with 1,000 tables in 601 schemas, copies of it, and databases that let nobody in.
pub(crate) async fn databases(house: &House) {
    let admin = house.admin("postgres").await;
    admin.run("CREATE DATABASE wide").await.unwrap();
    let wide = house.admin("wide").await;
    wide.run(
        "DO $$ BEGIN FOR n IN 1..600 LOOP EXECUTE format('CREATE SCHEMA s%s', n); END LOOP; \
         FOR n IN 1..1000 LOOP EXECUTE format('CREATE TABLE s%s.t%s (id int)', n % 600 + 1, n); END LOOP; END $$",
    )
    .await
    .unwrap();
    drop(wide);
    for statement in [
        "CREATE DATABASE wide_2 TEMPLATE wide",
        "CREATE DATABASE wide_3 TEMPLATE wide",
        "CREATE DATABASE walled",
        "CREATE DATABASE closed ALLOW_CONNECTIONS false",
    ] {
        admin.run(statement).await.unwrap();
    }
    let hba = house.world.server.data_dir().join("pg_hba.conf");
    let usual = std::fs::read_to_string(&hba).unwrap();
    std::fs::write(&hba, format!("host walled all all reject\nhostssl walled all all reject\n{usual}"))
        .unwrap();
    assert_eq!(admin.one("SELECT pg_reload_conf()").await.unwrap().as_deref(), Some("t"));
    // The server reads its files a moment after it was asked to.
    let walled = house.world.admin("walled");
    let began = Instant::now();
    let mut last = walled.await.is_ok();
    while last && began.elapsed() < Duration::from_secs(20) {
        tokio::time::sleep(Duration::from_millis(20)).await;
        last = house.world.admin("walled").await.is_ok();
    }
    assert!(!last, "the wall stands");

    let mut seen = Counted::default();
    house.target.discover(&mut seen).await.unwrap();
    let of = |kind: &str| seen.kinds.get(kind).copied().unwrap_or_default();
    // Three of `wide`, five of `app`, one of `sales`; with `public` in each of the six that let us in.
    assert_eq!(of("postgresql-table"), 3 * 1_000 + 4 + 1);
    assert_eq!(of("postgresql-schema"), 3 * 600 + 3 + 6);
    // The one behind the wall is there, what is in it is not known; who takes nobody in is not there to be had.
    assert_eq!(of("postgresql-database"), 7);
    assert!(seen.largest <= PAGE, "{} resources were told at once", seen.largest);
    let unlisted: Vec<_> = seen.unlisted.iter().map(|part| part.under.to_string()).collect();
    assert_eq!(unlisted, ["postgresql-database:closed", "postgresql-database:walled"]);

    // Who cannot tell of it does not take a part for the whole.
    let mut all: Vec<Resource> = vec![];
    let refused = house.target.discover(&mut all).await.map_err(|failure| failure.code.to_string());
    assert_eq!(refused, Err("target_fault".into()));
    std::fs::write(&hba, usual).unwrap();
}

/// Sees that every account of ours is told once, and its mark read.
#[derive(Default)]
struct Seen {
    pages: usize,
    largest: usize,
    names: BTreeSet<String>,
    twice: usize,
    marked: usize,
}

#[async_trait]
impl SightingSink for Seen {
    async fn take(&mut self, sightings: Vec<Sighting>) -> Result<(), Failure> {
        self.pages += 1;
        self.largest = self.largest.max(sightings.len());
        for Sighting { found } in sightings {
            self.marked += usize::from(matches!(found.mark, MarkState::Valid(_)));
            self.twice += usize::from(!self.names.insert(found.name.0));
        }
        Ok(())
    }
}

/// Opens accounts for so many people, as many at a time as the agent would.
async fn crowd(house: &House, people: std::ops::Range<usize>, wanted: &[Entitlement]) -> Vec<AccountRef> {
    let clear = credential::generate().unwrap();
    let verifier = PostgresDriver.verifier(&clear).unwrap().unwrap();
    let until = house.world.now().await.unwrap().plus(Span::from_hours(1));
    let orders = people.map(|n| house.order_until(&format!("person{n}"), wanted, until, verifier.clone()));
    let open = async |order: OpenOrder| house.target.open(&order).await.unwrap();
    stream::iter(orders.map(open)).buffer_unordered(AT_ONCE).collect().await
}

/// How long one account takes to open, to read back, and to close, in the mean.
async fn one_more(house: &House, people: std::ops::Range<usize>, wanted: &[Entitlement]) -> [Duration; 3] {
    let count = u32::try_from(people.len()).unwrap();
    let [mut opening, mut reading, mut closing] = [Duration::ZERO; 3];
    for n in people {
        let (order, _) = house.order(&format!("person{n}"), wanted).await;
        let began = Instant::now();
        let account = house.target.open(&order).await.unwrap();
        opening += began.elapsed();
        let began = Instant::now();
        let seen = house.target.observe(&account).await.unwrap();
        reading += began.elapsed();
        assert_eq!(seen.account.unwrap().entitlements, set(wanted));
        let began = Instant::now();
        for rung in LADDER {
            house.target.revoke(&account, rung).await.unwrap();
        }
        let seen = house.target.observe(&account).await.unwrap();
        closing += began.elapsed();
        assert!(seen.is_closed(), "{seen:?}");
        house.target.delete(&account, HeirPolicy::HandOver).await.unwrap();
    }
    [opening / count, reading / count, closing / count]
}

/// A server with thousands of accounts of ours goes on as one with a few: what it takes is told, and bounded.
pub(crate) async fn accounts(house: &House, count: usize) {
    let wanted = [table("app", "public", "orders", "READ_ONLY")];
    let few = crowd(house, 0..100, &wanted).await.len();
    let before = one_more(house, count..count + 20, &wanted).await;
    let began = Instant::now();
    let more = crowd(house, few..count, &wanted).await.len();
    let made = began.elapsed();
    assert_eq!(few + more, count);
    let after = one_more(house, count..count + 20, &wanted).await;
    let began = Instant::now();
    let mut seen = Seen::default();
    house.target.survey(&mut seen).await.unwrap();
    let surveyed = began.elapsed();
    let who = format!("PostgreSQL {}, {:?}", house.world.major().await, house.world.admin);
    tell(format!(
        "{who}: {more} more accounts in {made:.1?}, {:.1?} each",
        made / u32::try_from(more).unwrap()
    ));
    tell(format!(
        "{who}: open, read back, close with {few} accounts there: {before:.1?}; with {count}: {after:.1?}"
    ));
    tell(format!("{who}: survey of {count} in {surveyed:.1?}, {} pages", seen.pages));
    assert_eq!((seen.names.len(), seen.twice, seen.marked), (count, 0, count));
    assert!(seen.largest <= SURVEY_PAGE && seen.pages >= count / SURVEY_PAGE, "{} pages", seen.pages);
    assert!(surveyed < Duration::from_secs(60), "a survey took {surveyed:?}");
    assert!(after.iter().all(|took| *took < Duration::from_secs(2)), "{after:?}");
}

const PEOPLE: usize = 32;

/// What one of the crowd asks for: everybody a level on the one table, some also what surrounds it.
fn asks_for(n: usize) -> Vec<Entitlement> {
    let level = ["READ_ONLY", "READ_WRITE", "ADMIN"][n % 3];
    let mut wanted = vec![table("app", "crowded", "one", level)];
    if n.is_multiple_of(4) {
        wanted.push(Entitlement::new(ResourceId::new("postgresql-schema", ["app", "crowded"]), "READ_ONLY"));
    }
    if n.is_multiple_of(5) {
        wanted.push(Entitlement::new(ResourceId::new("postgresql-database", ["app"]), "READ_ONLY"));
    }
    wanted
}

async fn deadlocks(house: &House) -> String {
    let line = house.admin("postgres").await;
    line.one("SELECT sum(deadlocks) FROM pg_stat_database").await.unwrap().unwrap()
}

pub(crate) async fn openings(house: &House) {
    let app = house.admin("app").await;
    app.run("SET ROLE app_owner; CREATE SCHEMA crowded; CREATE TABLE crowded.one (id serial PRIMARY KEY)")
        .await
        .unwrap();
    let before = inventory(&house.world.server).await.unwrap();
    let other = house.again().await;
    let instances: [&dyn Target; 2] = [house.target.as_ref(), other.as_ref()];
    let mut orders = vec![];
    for n in 0..PEOPLE {
        orders.push(house.order(&format!("crowd{n}"), &asks_for(n)).await);
    }
    let began = Instant::now();
    let opened = orders.iter().zip(instances.iter().cycle()).map(|((order, _), target)| target.open(order));
    let opened = join_all(opened).await;
    let took = began.elapsed();
    let mut people = vec![];
    for (answer, (_, clear)) in opened.into_iter().zip(orders) {
        people.push(Grantee { account: answer.unwrap(), clear });
    }
    let ids: BTreeSet<_> = people.iter().map(|person| person.account.immutable.clone()).collect();
    assert_eq!(ids.len(), PEOPLE);
    for (n, person) in people.iter().enumerate() {
        assert_eq!(house.seen(person).await.entitlements, set(&asks_for(n)), "{n}");
        let line = house.line(person, "app").await;
        let writes = if n % 3 == 0 { "42501" } else { "ok" };
        assert_eq!(outcome(&line, "SELECT * FROM crowded.one").await, "ok", "{n}");
        assert_eq!(outcome(&line, "INSERT INTO crowded.one DEFAULT VALUES").await, writes, "{n}");
    }

    let began = Instant::now();
    let close = async |(person, target): (&Grantee, &&dyn Target)| {
        for rung in LADDER {
            target.revoke(&person.account, rung).await.unwrap();
        }
        let seen = target.observe(&person.account).await.unwrap();
        assert!(seen.is_closed(), "{seen:?}");
        target.delete(&person.account, HeirPolicy::HandOver).await.unwrap();
        assert!(target.observe(&person.account).await.unwrap().is_absent());
    };
    join_all(people.iter().zip(instances.iter().cycle()).map(close)).await;
    tell(format!(
        "{PEOPLE} opened on one table in {took:.1?}, closed and deleted in {:.1?}",
        began.elapsed()
    ));
    let report = house.target.retire().await.unwrap();
    assert_eq!(report.left, vec![]);
    assert_eq!(inventory(&house.world.server).await.unwrap(), before);
    // Counts come a moment late, and only from sessions that are over.
    other.close().await;
    house.target.close().await;
    app.run("SELECT pg_stat_clear_snapshot()").await.unwrap();
    assert_eq!(deadlocks(house).await, "0");
    let log = String::from_utf8_lossy(&std::fs::read(house.world.server.log_file()).unwrap()).into_owned();
    assert!(!log.contains("deadlock detected"), "somebody waited for somebody who waited for them");
}
