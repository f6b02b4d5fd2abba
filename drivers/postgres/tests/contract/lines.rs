//! TLS and logins against the real server: each `sslmode`, and ways of login that ask for too much.

use driver::{Grade, Settings};
use model::{Code, Secret};
use services::postgres::{Admin, Options, Postgres};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::people::context;
use crate::world::PostgresWorld;

/// An address of this machine that the server's certificate does not name.
const OTHER: &str = "127.0.0.2";

/// What comes of connecting: a code, or whether the line is encrypted.
async fn outcome(
    world: &PostgresWorld,
    settings: &Settings,
    user: &str,
    password: &str,
) -> Result<bool, Code> {
    let values = [("username", user), ("password", password)]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), Secret::new(value.to_owned())))
        .collect();
    let secret = driver::TargetSecret::new(values, "1");
    let target = world.connect_to(settings, &secret, context()).await.map_err(|failure| failure.code)?;
    let report = target.check().await.map_err(|failure| failure.code)?;
    let tls = report.probes.iter().find(|probe| probe.name == "tls").unwrap();
    Ok(tls.grade == Grade::Good || tls.detail.starts_with("encrypted"))
}

fn mode(world: &PostgresWorld, mode: &str, host: &str) -> Settings {
    let settings = Settings::default()
        .with("hostname", host)
        .with("port", world.server.port().to_string())
        .with("dbname", "postgre")
        .with("sslmode", mode);
    if mode.starts_with("verify") {
        settings.with("ca_certificates", std::fs::read_to_string(world.server.ca_file()).unwrap())
    } else {
        settings
    }
}

/// Passes on what comes to an address that is in no certificate, on the same port.
async fn pass_on(port: u16) -> JoinSet<()> {
    let listener = TcpListener::bind((OTHER, port)).await.unwrap();
    let mut passing = JoinSet::new();
    passing.spawn(async move {
        let mut lines = JoinSet::new();
        while let Ok((mut near, _)) = listener.accept().await {
            let mut far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            lines.spawn(async move { tokio::io::copy_bidirectional(&mut near, &mut far).await.map(drop) });
        }
    });
    passing
}

pub(crate) async fn all(server: &Options) {
    let options = Options {
        hba: vec![
            "hostssl all only_tls all scram-sha-256".into(),
            "host all only_tls all reject".into(),
            "hostnossl all only_plain all scram-sha-256".into(),
            "host all only_plain all reject".into(),
            "host all clear all password".into(),
            "host all digest all md5".into(),
        ],
        ..server.clone()
    };
    let world = PostgresWorld::start(&options, Admin::Superuser, None).await;
    let elsewhere = Postgres::launch(server).unwrap();
    let admin = world.admin("postgres").await.unwrap();
    admin
        .run(
            "CREATE ROLE only_tls SUPERUSER LOGIN PASSWORD 'pw'; CREATE ROLE only_plain SUPERUSER LOGIN PASSWORD 'pw'; \
             CREATE ROLE clear SUPERUSER LOGIN PASSWORD 'pw'; SET password_encryption = 'md5'; \
             CREATE ROLE digest SUPERUSER LOGIN PASSWORD 'pw'",
        )
        .await
        .unwrap();
    let user = world.server.superuser().to_owned();
    let password = world.server.password().to_owned();
    let (any, local) = ("127.0.0.1", "localhost");
    // User, mode, host, expected: encrypted, in clear text, or the code of the refusal.
    let table = [
        (user.as_str(), "disable", any, Ok(false)),
        (user.as_str(), "allow", any, Ok(false)),
        (user.as_str(), "prefer", any, Ok(true)),
        (user.as_str(), "require", any, Ok(true)),
        (user.as_str(), "verify-ca", any, Ok(true)),
        (user.as_str(), "verify-full", any, Ok(true)),
        (user.as_str(), "verify-full", local, Ok(true)),
        (user.as_str(), "verify-full", "::1", Ok(true)),
        (user.as_str(), "require", OTHER, Ok(true)),
        (user.as_str(), "verify-ca", OTHER, Ok(true)),
        (user.as_str(), "verify-full", OTHER, Err(Code::TLS_REFUSED)),
        ("only_tls", "disable", any, Err(Code::LOGIN_REFUSED)),
        ("only_tls", "allow", any, Ok(true)),
        ("only_plain", "allow", any, Ok(false)),
        ("only_plain", "require", any, Err(Code::LOGIN_REFUSED)),
        ("clear", "disable", any, Err(Code::TLS_REFUSED)),
        ("clear", "prefer", any, Err(Code::TLS_REFUSED)),
        ("clear", "require", any, Err(Code::TLS_REFUSED)),
        ("clear", "verify-ca", any, Ok(true)),
        ("clear", "verify-full", any, Ok(true)),
        ("digest", "disable", any, Err(Code::TLS_REFUSED)),
        ("digest", "require", any, Err(Code::TLS_REFUSED)),
        ("digest", "verify-full", any, Ok(true)),
    ];
    let _passing = pass_on(world.server.port()).await;
    for (name, word, host, expected) in table {
        let password = if name == user { &password } else { "pw" };
        let found = outcome(&world, &mode(&world, word, host), name, password).await;
        assert_eq!(found, expected, "{name} with {word} at {host}");
    }
    let wrong = std::fs::read_to_string(elsewhere.ca_file()).unwrap();
    for word in ["verify-ca", "verify-full"] {
        let settings = mode(&world, word, any).with("ca_certificates", wrong.clone());
        assert_eq!(
            outcome(&world, &settings, &user, &password).await,
            Err(Code::TLS_REFUSED),
            "{word}, wrong root"
        );
    }
    let no_server = mode(&world, "prefer", any).with("port", "1");
    assert_eq!(outcome(&world, &no_server, &user, &password).await, Err(Code::UNREACHABLE));
    let no_database = mode(&world, "prefer", any).with("dbname", "no_such_database");
    assert_eq!(outcome(&world, &no_database, &user, &password).await, Err(Code::RESOURCE_MISSING));

    let plain = PostgresWorld::start(&server.clone().set("ssl", "off"), Admin::Superuser, None).await;
    let password = plain.server.password().to_owned();
    for (word, expected) in [
        ("prefer", Ok(false)),
        ("allow", Ok(false)),
        ("require", Err(Code::TLS_REFUSED)),
        ("verify-full", Err(Code::TLS_REFUSED)),
    ] {
        assert_eq!(
            outcome(&plain, &mode(&plain, word, any), &user, &password).await,
            expected,
            "{word}, no TLS there"
        );
    }
}
