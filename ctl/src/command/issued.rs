//! A token that the server shows once: where it goes.

use std::path::PathBuf;

use model::Secret;
use serde_json::Value;

use crate::exit::Exit;
use crate::fault::Fault;
use crate::home;
use crate::print::{Format, Printer};

/// Where a new token goes.
#[derive(Debug, clap::Args)]
pub(crate) struct Destination {
    /// Write the token to this file, which only you may read, instead of printing it
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Print the token also when the output is no terminal
    #[arg(long)]
    show: bool,
}

impl Destination {
    /// Makes sure, before there is a token, that it will not be lost or left lying about.
    ///
    /// # Errors
    /// When it is not said where it goes.
    pub(crate) fn check(&self, printer: &Printer) -> Result<(), Fault> {
        let said =
            self.token_file.is_some() || self.show || printer.format != Format::Table || printer.terminal;
        if said {
            return Ok(());
        }
        Err(Fault::usage(
            "print a token",
            "the output is no terminal, and it would stay where it goes",
            "add --token-file FILE, --show or -o json",
        ))
    }

    /// Takes the token out of the answer when a file is named, and writes it there. Returns it when it is to
    /// be printed.
    ///
    /// # Errors
    /// When there is none, or the file cannot be written.
    pub(crate) fn deliver(&self, answer: &mut Value, printer: &Printer) -> Result<Option<Secret>, Fault> {
        let token = answer.get("token").and_then(Value::as_str).map(|token| Secret::new(token.to_owned()));
        let Some(token) = token else {
            return Err(Fault::new(Exit::Failed, "read the token", "the server's answer has none")
                .or("use a tidegatectl of the server's version"));
        };
        let Some(path) = &self.token_file else { return Ok(Some(token)) };
        if let Some(object) = answer.as_object_mut() {
            object.remove("token");
        }
        let written = home::replace(path, format!("{}\n", token.expose()).as_bytes());
        written.map_err(|fault| {
            Fault::system(format!("write the token to {}", path.display()), &fault)
                .or("it is lost and useless to others: revoke it and make another")
        })?;
        printer.note(&format!("the token is in {}", path.display()));
        Ok(None)
    }
}
