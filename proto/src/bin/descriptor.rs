//! Prints the wire's `FileDescriptorSet`, for `cargo xtask gen`.

use std::io::Write as _;

fn main() -> std::io::Result<()> {
    std::io::stdout().write_all(proto::DESCRIPTOR)
}
