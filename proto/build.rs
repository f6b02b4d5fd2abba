//! Turns the `.proto` files into Rust, without `protoc`, and keeps their descriptor.

use std::path::PathBuf;

use prost::Message as _;

const FILES: [&str; 6] = [
    "tidegate/connector/v1/connector.proto",
    "tidegate/connector/v1/manifest.proto",
    "tidegate/connector/v1/orders.proto",
    "tidegate/connector/v1/reports.proto",
    "tidegate/connector/v1/session.proto",
    "tidegate/connector/v1/standing.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let set = protox::compile(FILES, ["proto"])?;

    // Comments make documentation; in the descriptor they would only make every rewording a difference.
    let mut bare = set.clone();
    for file in &mut bare.file {
        file.source_code_info = None;
    }
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptor.binpb"), bare.encode_to_vec())?;

    tonic_prost_build::configure()
        .build_client(true)
        .build_server(true)
        // Its `connect` would clash with the method of that name; clients are made from a channel.
        .build_transport(false)
        .btree_map(".")
        .compile_fds(set)?;
    Ok(())
}
