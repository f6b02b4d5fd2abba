//! `login`: remembers server and token, and makes and registers the key to which credentials are sealed.
//!
//! The token comes from a file or the standard input, never from the command line. A key is made once; a
//! folder belongs to one person, as a key that two people use protects neither.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use model::Secret;
use seal::keys::SealingKey;
use serde_json::json;
use zeroize::Zeroizing;

use super::Desk;
use crate::api::{Api, Call, Server, read};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::home::Settings;
use crate::shape::{GranteeKey, Session};

const EXAMPLES: &str = "\
Examples:
  tidegatectl login --server https://tidegate.example.com --token-file token.txt
  pass tidegate/token | tidegatectl login --server https://10.0.0.5:8443 --ca ca.pem --token-file -";

/// Longest token, in bytes.
const LONGEST: u64 = 4096;

/// Log in, and register the key that opens your credentials
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Where the control plane is, https://HOST[:PORT] [default: as at the last login]
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Trust only the certificates in this file (PEM)
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// File that holds the token; `-` for the standard input
    #[arg(long, value_name = "FILE")]
    token_file: PathBuf,
    /// Let this folder's key take the place of the one that is registered: credentials that are sealed to
    /// that one cannot be opened here
    #[arg(long)]
    replace_key: bool,
    /// Forget whom this folder belonged to, and the key in it
    #[arg(long)]
    forget: bool,
}

pub(crate) async fn run(args: Args, desk: &Desk<'_>) -> Result<Exit, Fault> {
    let before = desk.home.settings()?;
    let token = token(&args.token_file)?;
    let (server, ca) = place(&args, before.as_ref())?;
    let api = Api::new(server.clone(), ca.as_deref(), &token, desk.patience)?;
    let answer = api.call(Call::get(&["session"], "log in")).await?;
    let session: Session = read(answer.clone(), "log in")?;
    if let Some(before) = before.filter(|before| before.user != session.user.id && !args.forget) {
        let why = format!("this folder is {}'s and the token is {}'s", before.email, session.user.email);
        return Err(Fault::new(Exit::Failed, "log in", why)
            .or("give another folder with --config DIR, or add --forget to give up the key in this one"));
    }
    let key = key(&args, desk, &api).await?;
    let settings = Settings {
        server: server.as_str().to_owned(),
        ca,
        user: session.user.id.clone(),
        email: session.user.email.clone(),
    };
    desk.home.keep_login(&settings, &token)?;
    let fingerprint = key.public().fingerprint();
    let value = json!({ "server": settings.server, "session": answer, "key_fingerprint": fingerprint });
    desk.printer.answer(&value, |text| {
        text.line(&format!("Logged in to {} as {}.", settings.server, session.user.email));
        text.pairs([
            ("roles", Some(session.user.roles.join(", "))),
            ("token expires", session.token.expires_at.clone().or_else(|| Some("never".into()))),
            ("key", Some(fingerprint.clone())),
        ]);
    })?;
    Ok(Exit::Ok)
}

fn place(args: &Args, before: Option<&Settings>) -> Result<(Server, Option<PathBuf>), Fault> {
    let known = || before.map(|before| before.server.clone());
    let address = args.server.clone().or_else(known).ok_or_else(|| {
        Fault::usage("log in", "no server is known yet", "give --server https://HOST[:PORT]")
    })?;
    let server = Server::parse(&address)?;
    let ca = match &args.ca {
        Some(path) => Some(super::absolute(path)?),
        None => before.filter(|before| before.server == server.as_str()).and_then(|before| before.ca.clone()),
    };
    Ok((server, ca))
}

/// Reads a token: one line of a file or of the standard input.
fn token(path: &Path) -> Result<Secret, Fault> {
    let what = format!("read the token from {}", path.display());
    let mut text = Zeroizing::new(String::with_capacity(usize::try_from(LONGEST).unwrap_or(0)));
    let read = if path.as_os_str() == "-" {
        io::stdin().lock().take(LONGEST).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(LONGEST).read_to_string(&mut text))
    };
    read.map_err(|fault| {
        Fault::new(Exit::Usage, what.clone(), fault.to_string()).or("name the file that holds it")
    })?;
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Fault::usage(what, "it is not one word of plain characters", "give the token alone"));
    }
    Ok(Secret::new(token.to_owned()))
}

/// Returns this folder's key, registered: made now if there is none.
async fn key(args: &Args, desk: &Desk<'_>, api: &Api) -> Result<SealingKey, Fault> {
    let what = "register the key";
    let ours = if args.forget { None } else { desk.home.key()? };
    let registered = match api.call(Call::get(&["me", "key"], what)).await {
        Ok(answer) => Some(read::<GranteeKey>(answer, what)?.public_key),
        Err(fault) if fault.exit == Exit::NotFound => None,
        Err(fault) => return Err(fault),
    };
    let same = |key: &SealingKey| registered.as_ref() == Some(&key.public().to_base64());
    if registered.is_some() && !ours.as_ref().is_some_and(same) && !args.replace_key {
        let here = if ours.is_some() { "this folder holds another one" } else { "this folder holds none" };
        let why = format!("a key is registered for you already and {here}");
        return Err(Fault::new(Exit::Failed, what, why).or(format!(
            "copy the file ctl-key from where you first logged in to {}, or add --replace-key: what is sealed to the registered key then opens only there",
            desk.home.path("").display()
        )));
    }
    let key = match ours {
        Some(key) => key,
        None => {
            let key = SealingKey::generate().map_err(|fault| Fault::system("make a key", &fault))?;
            // Kept before it is registered: a registered key that is lost would make credentials useless.
            desk.home.keep_key(&key)?;
            key
        }
    };
    if !same(&key) {
        let body = json!({ "public_key": key.public().to_base64() });
        api.call(Call::put(&["me", "key"], body, what)).await?;
        if registered.is_some() {
            desk.printer.warn(
                "your key was replaced: open accesses need `tidegatectl credential ACCESS --rotate` before you can use them here",
            );
        }
    }
    Ok(key)
}
