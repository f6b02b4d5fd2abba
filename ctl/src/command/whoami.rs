//! `whoami`: who is logged in, where, and with which key.

use super::Desk;
use crate::api::{Call, read};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::shape::Session;

const EXAMPLES: &str = "\
Examples:
  tidegatectl whoami
  tidegatectl whoami -o json";

/// Show who is logged in, and where
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {}

pub(crate) async fn run(_: Args, desk: &Desk<'_>) -> Result<Exit, Fault> {
    let (api, settings) = desk.api()?;
    let what = "see who is logged in";
    let answer = api.call(Call::get(&["session"], what)).await?;
    let session: Session = read(answer.clone(), what)?;
    let key = desk.home.key()?.map(|key| key.public().fingerprint());
    desk.printer.answer(&answer, |text| {
        text.pairs([
            ("user", Some(session.user.email.clone())),
            ("name", session.user.name.clone()),
            ("id", Some(session.user.id.clone())),
            ("roles", Some(session.user.roles.join(", "))),
            ("server", Some(settings.server.clone())),
            ("server version", Some(session.version.clone())),
            ("server time", Some(session.server_time.clone())),
            ("token", Some(session.token.name.clone())),
            ("token expires", session.token.expires_at.clone().or_else(|| Some("never".into()))),
            ("key", key.or_else(|| Some("none".into()))),
        ]);
    })?;
    Ok(Exit::Ok)
}
