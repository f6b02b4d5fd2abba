//! What is generated, and by which program of the workspace. One line each.

/// Something that is generated.
pub(crate) struct Generator {
    /// The program, as cargo builds it.
    pub(super) program: &'static str,
    pub(super) args: &'static [&'static str],
    pub(super) output: Output,
}

/// Where the output goes, from the workspace's root on.
pub(crate) enum Output {
    /// The program prints the file.
    File(&'static str),
    /// The program gets a folder as its last argument and writes files into it. All files of the place are its own.
    #[expect(dead_code, reason = "documentation pages come in folders; no program writes them yet")]
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
    Generator { program: "descriptor", args: &[], output: Output::File("proto/descriptor/current.binpb") },
    Generator { program: "tidegate-control", args: &["openapi"], output: Output::File("control/openapi.json") },
];
