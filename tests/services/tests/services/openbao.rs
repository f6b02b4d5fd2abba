//! A private OpenBao.

use std::process::Command;

use services::openbao::OpenBao;

use crate::{is_gone, runs};

#[test]
#[ignore = "long: needs OpenBao, a download of 75 MB (`cargo xtask services openbao --install`)"]
fn serves_its_root_token_and_is_gone_when_dropped() {
    let server = OpenBao::launch().unwrap();
    let (pid, folder) = (server.pid(), server.folder().to_owned());
    let looked_up = Command::new(server.program())
        .args(["token", "lookup", "-field=policies"])
        .env("BAO_ADDR", server.address())
        .env("BAO_TOKEN", server.token())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&looked_up.stdout).trim(), "[root]");
    drop(server);
    assert!(!runs(pid));
    assert!(is_gone(&folder));
}
