//! The program itself: started, asked, killed, stopped; and its description.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use crate::world::{Folder, PATIENCE};

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate-control"));
    command.env_clear().stdin(Stdio::null());
    command
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap()
}

fn bootstrap(data: &Path, out: &Path) -> Output {
    let mut command = program();
    command
        .arg("bootstrap")
        .arg("--data")
        .arg(data)
        .args(["--admin", "root@example.org"])
        .arg("--out")
        .arg(out);
    run(&mut command)
}

/// A server that is killed when the test is over.
struct Server {
    child: Child,
    ready: Value,
}

impl Server {
    fn start(data: &Path) -> Self {
        let mut child = program()
            .arg("serve")
            .arg("--data")
            .arg(data)
            .args(["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--dev"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line).unwrap_or_else(|fault| panic!("{fault}: {line}"));
        Self { child, ready }
    }

    async fn session(&self, token: &str) -> Value {
        let authority = std::fs::read(self.ready["ca_file"].as_str().unwrap()).unwrap();
        let authority = reqwest::Certificate::from_pem(&authority).unwrap();
        let client =
            reqwest::Client::builder().tls_certs_only([authority]).timeout(PATIENCE).build().unwrap();
        let url = format!("https://{}/api/v1/session", self.ready["http"].as_str().unwrap());
        client.get(url).bearer_auth(token).send().await.unwrap().json().await.unwrap()
    }

    fn signal(&mut self, signal: &str) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn from_nothing_to_a_first_session_and_through_a_kill() {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let folder = Folder::new();
    let (data, file) = (folder.path().join("data"), folder.path().join("token"));
    let made = bootstrap(&data, &file);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let token = std::fs::read_to_string(&file).unwrap();
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
    for output in [&made.stdout, &made.stderr] {
        assert!(!String::from_utf8_lossy(output).contains(token.trim()), "the token is printed");
    }
    let again = bootstrap(&data, &file);
    assert!(!again.status.success(), "a token file was overwritten");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), token);

    let mut server = Server::start(&data);
    assert_eq!(server.ready["event"], "ready");
    let session = server.session(&token).await;
    assert_eq!(session["user"]["email"], "root@example.org");
    let beside = bootstrap(&data, &folder.path().join("other"));
    assert!(String::from_utf8_lossy(&beside.stderr).contains("in use by another process"));
    assert_eq!(server.signal("-KILL"), None);

    let mut server = Server::start(&data);
    let after = server.session(&token).await;
    assert_eq!(after["incarnation"], session["incarnation"], "a kill is no restore");
    assert_eq!(server.signal("-TERM"), Some(0), "an ordered stop is no success");

    let begun = run(program().arg("new-incarnation").arg("--data").arg(&data));
    let begun: Value = serde_json::from_slice(&begun.stdout).unwrap();
    let server = Server::start(&data);
    let anew = server.session(&token).await;
    assert_eq!(anew["incarnation"], begun["incarnation"]);
    assert_ne!(anew["incarnation"], session["incarnation"]);
}

#[test]
fn a_certificate_key_that_others_can_read_is_refused() {
    let folder = Folder::new();
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert_file, key_file) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert_file, key.cert.pem()).unwrap();
    std::fs::write(&key_file, key.signing_key.serialize_pem()).unwrap();
    std::fs::set_permissions(&key_file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let served = run(program()
        .arg("serve")
        .arg("--data")
        .arg(folder.path().join("data"))
        .args(["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"])
        .arg("--tls-cert")
        .arg(&cert_file)
        .arg("--tls-key")
        .arg(&key_file));
    assert!(!served.status.success());
    assert!(String::from_utf8_lossy(&served.stderr).contains("readable by others"), "{served:?}");
}

#[test]
fn the_description_that_is_committed_is_the_one_that_is_served() {
    let committed = include_str!("../../openapi.json");
    let printed = run(program().arg("openapi"));
    let printed = String::from_utf8(printed.stdout).unwrap();
    assert!(committed == printed, "openapi.json is old: run `cargo xtask gen`");
    let description: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(description["openapi"], "3.1.0");
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let answers = operation["responses"].as_object().unwrap();
            assert!(answers.contains_key("default"), "{method} {path} has no problem");
            assert!(operation["operationId"].is_string() && operation["summary"].is_string());
        }
    }
}
