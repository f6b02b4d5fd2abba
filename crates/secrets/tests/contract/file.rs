use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use model::Code;
use secrets::contract::{self, Can, World};
use secrets::file::{DirectoryFault, FileStore};
use secrets::{Reference, SecretStore as _};
use tempfile::TempDir;

struct FileWorld {
    directory: TempDir,
    store: Arc<FileStore>,
}

impl FileWorld {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(FileStore::below(directory.path()).unwrap());
        Self { directory, store }
    }

    fn write(&self, name: &str, bytes: &[u8], mode: u32) {
        write(&self.directory.path().join(name), bytes, mode);
    }

    async fn code(&self, name: &str) -> Option<Code> {
        let reference = Reference::parse(&format!("file://{name}")).unwrap();
        self.store.fetch(&reference).await.err().map(|failure| failure.code)
    }
}

fn write(path: &Path, bytes: &[u8], mode: u32) {
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[async_trait]
impl World for FileWorld {
    fn store(&self) -> Arc<dyn secrets::SecretStore> {
        Arc::<FileStore>::clone(&self.store)
    }

    fn reference(&self, name: &str) -> Reference {
        Reference::parse(&format!("file://{name}")).unwrap()
    }

    async fn put(&mut self, name: &str, bytes: &[u8]) -> Can {
        // The time is kept, as some tools do: the content alone must tell.
        let path = self.directory.path().join(name);
        let kept = fs::metadata(&path).and_then(|found| found.modified());
        self.write(name, bytes, 0o600);
        if let Ok(kept) = kept {
            fs::File::options().write(true).open(&path).unwrap().set_modified(kept).unwrap();
        }
        Can::Yes
    }

    async fn remove(&mut self, name: &str) {
        fs::remove_file(self.directory.path().join(name)).unwrap();
    }

    async fn deny(&mut self, name: &str) -> Can {
        let path = self.directory.path().join(name);
        fs::set_permissions(path, fs::Permissions::from_mode(0o640)).unwrap();
        Can::Yes
    }

    async fn stall(&mut self, _: &str) -> Can {
        Can::Never("only a dead network disk hangs on a plain file, and pipes are refused")
    }
}

#[tokio::test]
async fn keeps_the_contract() {
    let outcome = contract::run(&mut FileWorld::start()).await;
    let names: Vec<_> = outcome.impossible.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["slow"], "{outcome:?}");
}

#[tokio::test]
async fn files_open_to_others_are_refused() {
    let world = FileWorld::start();
    for mode in [0o400, 0o600, 0o700] {
        world.write("closed", b"password=p", mode);
        assert_eq!(world.code("closed").await, None, "{mode:o}");
        fs::remove_file(world.directory.path().join("closed")).unwrap();
    }
    for mode in [0o640, 0o604, 0o620, 0o602, 0o610, 0o644, 0o666] {
        world.write("open", b"password=p", mode);
        assert_eq!(world.code("open").await, Some(Code::SECRET_DENIED), "{mode:o}");
    }
}

#[tokio::test]
async fn links_stay_below_the_directory() {
    let world = FileWorld::start();
    let outside = tempfile::tempdir().unwrap();
    write(&outside.path().join("secret"), b"password=p", 0o600);
    fs::create_dir(world.directory.path().join("data")).unwrap();
    world.write("data/inside", b"password=p", 0o600);
    let at = |name: &str| world.directory.path().join(name);
    symlink(outside.path().join("secret"), at("file_out")).unwrap();
    symlink(outside.path(), at("dir_out")).unwrap();
    symlink("data/inside", at("file_in")).unwrap();
    symlink("data", at("dir_in")).unwrap();
    symlink("circle", at("circle")).unwrap();
    symlink("nowhere", at("dangling")).unwrap();
    let sibling = format!("{}-sibling", world.directory.path().display());
    fs::create_dir(&sibling).unwrap();
    write(&Path::new(&sibling).join("secret"), b"password=p", 0o600);
    symlink(&sibling, at("sibling")).unwrap();
    let table = [
        ("a file outside", "file_out", Some(Code::SECRET_DENIED)),
        ("a directory outside", "dir_out/secret", Some(Code::SECRET_DENIED)),
        ("a directory whose name begins alike", "sibling/secret", Some(Code::SECRET_DENIED)),
        ("a file inside", "file_in", None),
        ("a directory inside", "dir_in/inside", None),
        ("a circle", "circle", Some(Code::SECRET_STORE_UNREACHABLE)),
        ("nowhere", "dangling", Some(Code::SECRET_MISSING)),
        ("a directory itself", "data", Some(Code::SECRET_DENIED)),
        ("a file as a directory", "data/inside/more", Some(Code::SECRET_MISSING)),
        ("a name that is too long", &"x".repeat(300), Some(Code::SECRET_MISSING)),
    ];
    for (name, path, code) in table {
        assert_eq!(world.code(path).await, code, "{name}");
    }
    fs::remove_dir_all(&sibling).unwrap();
}

#[tokio::test]
async fn a_pipe_or_a_socket_does_not_hang_it() {
    let world = FileWorld::start();
    let path = world.directory.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(world.code("socket").await, Some(Code::SECRET_DENIED));
    let status =
        std::process::Command::new("mkfifo").arg("-m600").arg(world.directory.path().join("pipe")).status();
    assert!(status.unwrap().success());
    assert_eq!(world.code("pipe").await, Some(Code::SECRET_DENIED));
}

#[test]
fn a_directory_that_others_can_write_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let below = FileStore::below(&directory.path().join("none"));
    assert!(matches!(below, Err(DirectoryFault::Unreadable { .. })));
    write(&directory.path().join("file"), b"", 0o600);
    let below = FileStore::below(&directory.path().join("file"));
    assert!(matches!(below, Err(DirectoryFault::NotADirectory { .. })));
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o770)).unwrap();
    assert!(matches!(FileStore::below(directory.path()), Err(DirectoryFault::Writable { mode: 0o770, .. })));
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    assert!(FileStore::below(directory.path()).is_ok());
}
