//! What is generated, and by what. One line each.

use std::path::Path;

use super::codes;
use super::compare::Files;

/// Something that is generated.
pub(crate) struct Generator {
    pub(super) maker: Maker,
    pub(super) output: Output,
}

/// What makes the output.
pub(super) enum Maker {
    /// A program of the workspace, as cargo builds it, with its arguments.
    Program(&'static str, &'static [&'static str]),
    /// A function in here; it is given the workspace's root.
    Here(fn(&Path) -> anyhow::Result<Files>),
}

/// Where the output goes, from the workspace's root on.
pub(crate) enum Output {
    /// One file: a program prints it.
    File(&'static str),
    /// A folder: a program gets one as its last argument and writes files into it. All files of the place are its own.
    Folder(&'static str),
}

impl Generator {
    pub(super) fn place(&self) -> &'static str {
        match self.output {
            Output::File(place) | Output::Folder(place) => place,
        }
    }
}

pub(super) const GENERATORS: &[Generator] = &[
    Generator {
        maker: Maker::Program("descriptor", &[]),
        output: Output::File("proto/descriptor/current.binpb"),
    },
    Generator {
        maker: Maker::Program("tidegate-control", &["openapi"]),
        output: Output::File("control/openapi.json"),
    },
    Generator { maker: Maker::Program("manuals", &[]), output: Output::Folder("docs/man") },
    Generator { maker: Maker::Program("agent-pages", &[]), output: Output::Folder("docs/reference") },
    Generator { maker: Maker::Here(codes::pages), output: Output::Folder(codes::PLACE) },
];
