//! `users`: people and their roles.

use clap::builder::PossibleValuesParser;
use serde_json::{Value, json};

use super::{Desk, Paging};
use crate::api::{Api, Call, read};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::print::Table;
use crate::shape::User;

const EXAMPLES: &str = "\
Examples:
  tidegatectl users create ann@example.com --role requester --role approver
  tidegatectl users list
  tidegatectl users disable ann@example.com";

/// Manage users
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Make a user
    #[command(after_help = EXAMPLES)]
    Create {
        email: String,
        #[arg(long, value_name = "TEXT")]
        name: Option<String>,
        /// May be given more than once
        #[arg(long, required = true, value_parser = PossibleValuesParser::new(["requester", "approver", "admin"]))]
        role: Vec<String>,
    },
    /// List users
    #[command(after_help = EXAMPLES)]
    List {
        #[command(flatten)]
        paging: Paging,
    },
    /// Refuse a user's tokens, end every access they have, and delete their accounts
    #[command(after_help = EXAMPLES)]
    Disable {
        /// E-mail address or id
        user: String,
    },
}

pub(crate) async fn run(args: Args, desk: &Desk<'_>) -> Result<Exit, Fault> {
    let (api, _) = desk.api()?;
    match args.verb {
        Verb::Create { email, name, role } => {
            let body = json!({ "email": email, "name": name, "roles": role });
            one(desk, &api, Call::post(&["users"], body, format!("make the user {email}"))).await
        }
        Verb::Disable { user } => {
            let id = id(&api, &user).await?;
            let path = ["users", id.as_str(), "disable"];
            one(desk, &api, Call::post(&path, json!({}), format!("disable {user}"))).await
        }
        Verb::List { paging } => list(desk, &api, &paging).await,
    }
}

/// Returns the id of the user that is named by e-mail address or id.
///
/// # Errors
/// When there is none.
pub(super) async fn id(api: &Api, user: &str) -> Result<String, Fault> {
    if !user.contains('@') {
        return Ok(user.to_owned());
    }
    let what = format!("find the user {user}");
    let query = [("email", user.to_owned())];
    let (items, _) = api.list(&["users"], &query, Some(2), &what).await?;
    let users: Vec<User> = read(Value::from(items), &what)?;
    let found = users.into_iter().find(|found| found.email.eq_ignore_ascii_case(user));
    found.map(|found| found.id).ok_or_else(|| {
        Fault::new(Exit::NotFound, what, "there is no such user").or("look with `tidegatectl users list`")
    })
}

async fn one(desk: &Desk<'_>, api: &Api, call: Call<'_>) -> Result<Exit, Fault> {
    let answer = api.call(call).await?;
    let user: User = read(answer.clone(), "read the user")?;
    desk.printer.answer(&answer, |text| {
        text.pairs([
            ("id", Some(user.id.clone())),
            ("e-mail", Some(user.email.clone())),
            ("name", user.name.clone()),
            ("roles", Some(user.roles.join(", "))),
            ("state", Some(state(&user).into())),
        ]);
    })?;
    Ok(Exit::Ok)
}

async fn list(desk: &Desk<'_>, api: &Api, paging: &Paging) -> Result<Exit, Fault> {
    let what = "list users";
    let (items, more) = api.list(&["users"], &[], paging.most(), what).await?;
    let users: Vec<User> = read(Value::from(items.clone()), what)?;
    desk.printer.answer(&Value::from(items), |text| {
        let mut table = Table::new(&["E-MAIL", "NAME", "ROLES", "STATE", "KEY", "SINCE", "ID"]);
        for user in &users {
            let key = if user.has_key { "yes" } else { "no" };
            table.row([
                user.email.clone(),
                user.name.clone().unwrap_or_default(),
                user.roles.join(", "),
                state(user).into(),
                key.into(),
                user.created_at.clone(),
                user.id.clone(),
            ]);
        }
        text.table(&table);
    })?;
    Paging::note(desk.printer, more);
    Ok(Exit::Ok)
}

fn state(user: &User) -> &'static str {
    if user.disabled { "disabled" } else { "enabled" }
}
