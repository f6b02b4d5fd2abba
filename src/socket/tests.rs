use std::fs;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;

use model::{ConnectorId, InstanceId, Timestamp};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use super::ask::{AskFault, ask};
use super::*;
use crate::admin::Readiness;
use crate::clock::HandClock;
use crate::engine::published::{Desk, Message};
use crate::telemetry::Telemetry;

const NOW: Timestamp = Timestamp::from_secs(1_000);

struct World {
    dir: TempDir,
    messages: mpsc::Receiver<Message>,
    _published: watch::Sender<crate::engine::published::Published>,
    stop: CancellationToken,
    crew: JoinSet<Result<(), SocketFault>>,
}

impl World {
    async fn begun() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (out, messages) = mpsc::channel(8);
        let (published, shown) = watch::channel(crate::engine::published::Published::nothing());
        let (_, readiness) = watch::channel(Readiness::starting(NOW));
        let clerk = Clerk {
            connector: ConnectorId::parse("trial").unwrap(),
            instance: InstanceId::from_uuid(Uuid::nil()),
            started: NOW,
            clock: Arc::new(HandClock::at(NOW)),
            desk: Desk { messages: out, published: shown },
            readiness,
            telemetry: Telemetry::mute(),
        };
        let path = dir.path().join("admin/agent.sock");
        let socket = Arc::new(Socket { path: path.clone(), own_folder: true, clerk });
        let (stop, mut crew) = (CancellationToken::new(), JoinSet::new());
        crew.spawn(socket.serve(stop.clone()));
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        while UnixStream::connect(&path).await.is_err() {
            assert!(tokio::time::Instant::now() < deadline, "the socket was not bound");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Self { dir, messages, _published: published, stop, crew }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("admin/agent.sock")
    }

    async fn says(&self, line: &[u8]) -> Answer {
        let mut stream = UnixStream::connect(self.path()).await.unwrap();
        // An answer may come before all was read.
        stream.write_all(line).await.ok();
        let mut answer = vec![];
        stream.read_to_end(&mut answer).await.unwrap();
        Answer::read(&answer).unwrap()
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_socket_is_private_answers_and_is_removed_at_the_end() {
    let mut world = World::begun().await;
    let path = world.path();
    assert!(fs::symlink_metadata(&path).unwrap().file_type().is_socket());
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    // The engine is gone: the status says so, and says what is known all the same.
    world.messages.close();
    let Answer::Status(status) = ask(&path, &Question::Status).await.unwrap() else { panic!("no status") };
    assert_eq!((status.connector.as_str(), status.work, status.now), ("trial", None, NOW));
    assert!(!status.report.ready);

    world.stop.cancel();
    let ended = timeout(Duration::from_secs(10), world.crew.join_next()).await;
    assert!(matches!(ended, Ok(Some(Ok(Ok(()))))), "{ended:?}");
    assert!(!path.exists());
    assert!(matches!(ask(&path, &Question::Status).await, Err(AskFault::NoAgent { .. })));
}

#[tokio::test]
async fn what_is_no_question_is_refused_and_told_why() {
    let world = World::begun().await;
    let long = [vec![b' '; LARGEST_QUESTION + 1], b"{}".to_vec()].concat();
    let table: [(&str, &[u8], &str); 6] = [
        ("nothing", b"\n", "cannot be read"),
        ("no JSON", b"status\n", "cannot be read"),
        ("an unknown question", b"{\"v\":1,\"ask\":\"open_all\"}\n", "use its own build"),
        ("another version", b"{\"v\":2,\"ask\":\"status\"}\n", "knows 1"),
        ("no version", b"{\"ask\":\"status\"}\n", "cannot be read"),
        ("too long", &long, "more than 65536 bytes"),
    ];
    for (name, line, expected) in table {
        let answer = world.says(line).await;
        let Answer::Refused { why, reason } = &answer else { panic!("{name}: {answer:?}") };
        assert!(*why == Why::NotUnderstood && reason.contains(expected), "{name}: {reason}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_connects_and_says_nothing_does_not_keep_others_out() {
    let mut world = World::begun().await;
    world.messages.close();
    let mut silent = vec![];
    for _ in 0..SEATS {
        silent.push(UnixStream::connect(world.path()).await.unwrap());
    }
    for mut stream in silent {
        let mut rest = vec![];
        let ended = timeout(TRANSIT * 3, stream.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "a silent guest kept its seat");
    }
    tokio::time::resume();
    assert!(matches!(ask(&world.path(), &Question::Status).await, Ok(Answer::Status(_))));
}

#[test]
fn only_the_agents_user_and_root_are_welcome() {
    let me = rustix::process::geteuid().as_raw();
    for (user, welcome) in [(me, true), (0, true), (me + 1, false), (65_534, me == 65_534)] {
        assert_eq!(clerk::Peer { user, process: None }.is_welcome(), welcome, "{user}");
    }
}

#[test]
fn a_place_that_others_could_use_is_refused_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("run");
    let path = folder.join("agent.sock");
    let refusal = |path: &Path, own: bool| Place::take(path, own).unwrap_err().to_string();

    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o750)).unwrap();
    assert!(refusal(&path, false).contains("run `chmod 700"), "{}", refusal(&path, false));
    // One that is ours by its name is closed.
    drop(Place::take(&path, true).unwrap());
    assert_eq!(mode(&folder), 0o700);

    let held = Place::take(&path, false).unwrap();
    assert!(refusal(&path, false).contains("another agent answers"), "{}", refusal(&path, false));
    // One that was killed leaves its file behind, and it is taken over.
    drop(held);
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    drop(Place::take(&path, false).unwrap());

    fs::write(&path, "mine").unwrap();
    assert!(refusal(&path, false).contains("no socket"), "{}", refusal(&path, false));
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");

    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&folder, &link).unwrap();
    let through = refusal(&link.join("agent.sock"), true);
    assert!(through.contains("is not a folder"), "{through}");
    let long = dir.path().join("x".repeat(120));
    let told = crate::exit::chain(&Place::take(&long.join("agent.sock"), true).unwrap_err());
    assert!(told.contains("name a short path"), "{told}");
}
