//! Why a command did not succeed: what, why, the way out, and the exit code.

use std::error::Error;

use serde::Serialize;

use crate::exit::Exit;

/// One fault for people and for machines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// What was to be done: follows "could not".
    pub(crate) what: String,
    pub(crate) why: String,
    pub(crate) way_out: Option<String>,
    /// The server's stable code.
    pub(crate) code: Option<Box<str>>,
    /// What is wrong with what was sent, field by field.
    pub(crate) fields: Box<[Field]>,
    pub(crate) exit: Exit,
    /// Worth another try by itself.
    pub(crate) passing: bool,
}

/// One thing that the server found wrong with what was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub(crate) struct Field {
    pub(crate) field: String,
    pub(crate) reason: String,
    pub(crate) way_out: String,
}

impl Fault {
    pub(crate) fn new(exit: Exit, what: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            why: why.into(),
            way_out: None,
            code: None,
            fields: Box::default(),
            exit,
            passing: false,
        }
    }

    /// What stands on the command line cannot be meant.
    pub(crate) fn usage(what: impl Into<String>, why: impl Into<String>, way_out: impl Into<String>) -> Self {
        Self::new(Exit::Usage, what, why).or(way_out)
    }

    /// This machine did not do it.
    pub(crate) fn system(what: impl Into<String>, cause: &dyn Error) -> Self {
        Self::new(Exit::Failed, what, chain(cause))
    }

    /// Adds the way out.
    #[must_use]
    pub(crate) fn or(self, way_out: impl Into<String>) -> Self {
        Self { way_out: Some(way_out.into()), ..self }
    }
}

/// An error with all its causes, each said once.
pub(crate) fn chain(fault: &dyn Error) -> String {
    let mut text = fault.to_string();
    let mut cause = fault.source();
    while let Some(source) = cause {
        let more = source.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = source.source();
    }
    text
}
