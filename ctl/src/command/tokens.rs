//! `tokens`: with which people and scripts log in.

use model::Span;
use serde_json::json;

use super::issued::Destination;
use super::{Desk, users};
use crate::api::{Api, Call, read};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::home::Settings;
use crate::print::Table;
use crate::shape::Token;

const EXAMPLES: &str = "\
Examples:
  tidegatectl tokens create --name laptop --expires 30d --token-file token.txt
  tidegatectl tokens create --user ann@example.com --name first --token-file ann.token
  tidegatectl tokens list --user ann@example.com
  tidegatectl tokens revoke tok-0192";

/// Manage tokens, your own or, as an admin, another user's
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Args)]
struct Whose {
    /// Whose, by e-mail address or id [default: your own]
    #[arg(long, value_name = "USER")]
    user: Option<String>,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Make a token, which is shown this once
    #[command(after_help = EXAMPLES)]
    Create {
        #[command(flatten)]
        whose: Whose,
        /// What it is for
        #[arg(long, value_name = "TEXT")]
        name: String,
        /// When it expires [default: as the server says, 90 days]
        #[arg(long, value_name = "DURATION")]
        expires: Option<Span>,
        #[command(flatten)]
        destination: Destination,
    },
    /// List tokens
    #[command(after_help = EXAMPLES)]
    List {
        #[command(flatten)]
        whose: Whose,
    },
    /// Revoke a token
    #[command(after_help = EXAMPLES)]
    Revoke {
        #[command(flatten)]
        whose: Whose,
        token: String,
    },
}

impl Whose {
    async fn id(&self, api: &Api, settings: &Settings) -> Result<String, Fault> {
        match &self.user {
            Some(user) => users::id(api, user).await,
            None => Ok(settings.user.clone()),
        }
    }
}

pub(crate) async fn run(args: Args, desk: &Desk<'_>) -> Result<Exit, Fault> {
    let (api, settings) = desk.api()?;
    match args.verb {
        Verb::Create { whose, name, expires, destination } => {
            destination.check(desk.printer)?;
            let user = whose.id(&api, &settings).await?;
            let seconds = expires.map(|span| span.as_millis() / 1000);
            let body = json!({ "name": name, "expires_in_seconds": seconds });
            let path = ["users", user.as_str(), "tokens"];
            let mut answer = api.call(Call::post(&path, body, "make a token")).await?;
            let secret = destination.deliver(&mut answer, desk.printer)?;
            let token: Token = read(answer.clone(), "make a token")?;
            desk.printer.answer(&answer, |text| {
                text.pairs([
                    ("id", Some(token.id.clone())),
                    ("name", Some(token.name.clone())),
                    ("expires", token.expires_at.clone().or_else(|| Some("never".into()))),
                    ("token", secret.map(|secret| secret.expose().to_owned())),
                ]);
            })?;
        }
        Verb::List { whose } => {
            let user = whose.id(&api, &settings).await?;
            list(desk, &api, &user).await?;
        }
        Verb::Revoke { whose, token } => {
            let user = whose.id(&api, &settings).await?;
            let path = ["users", user.as_str(), "tokens", token.as_str()];
            api.call(Call::delete(&path, format!("revoke the token {token}"))).await?;
            desk.printer.answer(&json!({ "id": token, "revoked": true }), |text| {
                text.line(&format!("{token} is revoked."));
            })?;
        }
    }
    Ok(Exit::Ok)
}

async fn list(desk: &Desk<'_>, api: &Api, user: &str) -> Result<(), Fault> {
    let what = "list tokens";
    let answer = api.call(Call::get(&["users", user, "tokens"], what)).await?;
    let tokens: Vec<Token> = read(answer.clone(), what)?;
    desk.printer.answer(&answer, |text| {
        let mut table = Table::new(&["ID", "NAME", "MADE", "EXPIRES", "LAST USED", "REVOKED"]);
        for token in &tokens {
            table.row([
                token.id.clone(),
                token.name.clone(),
                token.created_at.clone(),
                token.expires_at.clone().unwrap_or_else(|| "never".into()),
                token.last_used_at.clone().unwrap_or_default(),
                token.revoked_at.clone().unwrap_or_default(),
            ]);
        }
        text.table(&table);
    })?;
    Ok(())
}
