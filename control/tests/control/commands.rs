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
        let addresses = ["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--dev"];
        Self::by(program().args(["serve", "--data"]).arg(data).args(addresses))
    }

    fn by(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
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
    // A copy of the authority's certificate is for whoever connects; its key is for nobody else.
    for (name, mode) in [("dev-ca.pem", 0o644), ("dev-ca.key", 0o600)] {
        let found = std::fs::metadata(data.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{name}");
    }
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

/// Lets a process write files of so many bytes at most; `None`: as long as it likes.
fn limit(pid: u32, bytes: Option<u64>) {
    let most = bytes.map_or_else(|| "unlimited".to_owned(), |bytes| bytes.to_string());
    let set = Command::new("prlimit").args(["--pid", &pid.to_string(), &format!("--fsize={most}:")]).status();
    assert!(set.unwrap().success(), "util-linux has prlimit");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_written_is_refused_and_not_half_done() {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let folder = Folder::new();
    let (data, file) = (folder.path().join("data"), folder.path().join("token"));
    assert!(bootstrap(&data, &file).status.success());
    let token = std::fs::read_to_string(&file).unwrap();
    // A file that may not grow is an error to it, as a full disk is, and not its end.
    let mut server = Server::by(
        Command::new("/bin/sh")
            .args([
                "-c",
                "trap '' XFSZ; exec \"$@\"",
                "sh",
                env!("CARGO_BIN_EXE_tidegate-control"),
                "serve",
                "--data",
            ])
            .arg(&data)
            .args(["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--dev"]),
    );
    let authority = std::fs::read(server.ready["ca_file"].as_str().unwrap()).unwrap();
    let authority = reqwest::Certificate::from_pem(&authority).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([authority]).timeout(PATIENCE).build().unwrap();
    let base = format!("https://{}/api/v1", server.ready["http"].as_str().unwrap());
    let make = async |name: &str| {
        let body = serde_json::json!({ "email": format!("{name}@example.org"), "roles": ["requester"] });
        let answer =
            client.post(format!("{base}/users")).bearer_auth(&token).json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let count = async |path: &str| {
        let found = client.get(format!("{base}/{path}?limit=500")).bearer_auth(&token).send().await.unwrap();
        found.json::<Value>().await.unwrap()["items"].as_array().unwrap().len()
    };
    assert_eq!(make("ann").await.0, 201);
    let before = (count("users").await, count("audit").await);
    limit(server.child.id(), Some(4_096));
    let (status, told) = make("bob").await;
    assert_eq!((status, told["code"].as_str()), (503, Some("store_unavailable")), "{told}");
    assert_eq!((count("users").await, count("audit").await), before, "half of it was done");
    limit(server.child.id(), None);
    assert_eq!(make("bob").await.0, 201, "it goes on by itself");
    assert_eq!(server.signal("-KILL"), None);
    let server = Server::start(&data);
    assert_eq!(server.session(&token).await["user"]["email"], "root@example.org");
}

#[test]
fn what_cannot_be_served_is_refused_before_anything_is_made() {
    let folder = Folder::new();
    let data = folder.path().join("data");
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let serve = |args: &[&str]| {
        let mut command = program();
        command.args(["serve", "--data"]).arg(&data).args(args);
        run(&mut command)
    };
    let (grpc, http, dev) = (["--grpc", "127.0.0.1:0"], ["--http", "127.0.0.1:0"], ["--dev"]);
    let table: [(&str, Vec<&str>, &str); 6] = [
        ("no address", [&["--grpc", "here"], &http[..], &dev].concat(), "--grpc"),
        ("a port beyond ports", [&grpc[..], &["--http", "127.0.0.1:65536"], &dev].concat(), "--http"),
        (
            "no length of time",
            [&grpc[..], &http, &dev, &["--max-duration", "24"]].concat(),
            "number and a unit",
        ),
        (
            "no time at all",
            [&grpc[..], &http, &dev, &["--max-duration", "0s"]].concat(),
            "--max-duration is 0",
        ),
        ("an unknown word", [&grpc[..], &http, &dev, &["--plain"]].concat(), "--plain"),
        ("no certificate", [&grpc[..], &http].concat(), "--tls-cert"),
    ];
    for (name, args, part) in table {
        let refused = serve(&args);
        let told = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && told.contains(part), "{name}: {told}");
        assert!(!data.exists(), "{name}: the folder was made");
    }
    for (name, admin, out, part) in [
        ("no address", "root", "t1", "it has no `@`"),
        ("an address with a turn of direction", "ro\u{202e}ot@example.org", "t2", "email"),
        ("a place that is not there", "root@example.org", "none/t3", "cannot make"),
    ] {
        let mut command = program();
        let out = folder.path().join(out);
        command.args(["bootstrap", "--data"]).arg(&data).args(["--admin", admin, "--out"]).arg(&out);
        let refused = run(&mut command);
        let told = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && told.contains(part), "{name}: {told}");
        assert!(!out.exists(), "{name}: an empty file is left");
    }
    let refused = run(program().args(["bootstrap", "--admin", "a@b.c", "--out", "t", "--data"]).arg(&file));
    assert!(!refused.status.success(), "a file served as a folder");
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
fn serving_without_a_certificate_names_both_ways() {
    let folder = Folder::new();
    let served = run(program().arg("serve").arg("--data").arg(folder.path()).args([
        "--grpc",
        "127.0.0.1:0",
        "--http",
        "127.0.0.1:0",
    ]));
    let told = String::from_utf8_lossy(&served.stderr);
    assert!(!served.status.success() && told.contains("--tls-cert") && told.contains("--dev"), "{told}");
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
