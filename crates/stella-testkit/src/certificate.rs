//! Certificates for this machine.

use std::path::Path;
use std::process::Command;

/// `NAME.pem` and `NAME.key` in the folder, for 127.0.0.1.
pub fn self_signed(folder: &Path, name: &str, constraints: &str) {
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
        ])
        .args(["-nodes", "-subj", "/CN=stella", "-days", "2"])
        .args(["-addext", &format!("basicConstraints={constraints}")])
        .args(["-addext", "subjectAltName=IP:127.0.0.1"])
        .arg("-keyout")
        .arg(folder.join(format!("{name}.key")))
        .arg("-out")
        .arg(folder.join(format!("{name}.pem")))
        .output()
        .expect("openssl runs");
    assert!(made.status.success(), "{made:?}");
}

/// `NAME.pem` and `NAME.key` in the folder, for an authority.
pub fn authority(folder: &Path, name: &str) {
    self_signed(folder, name, "critical,CA:TRUE");
}

/// `NAME.pem` and `NAME.key` in the folder, for this host name, issued by the
/// authority of the same folder.
pub fn issued(folder: &Path, name: &str, by: &str, host: &str) {
    let path = |name: &str, ending: &str| folder.join(format!("{name}.{ending}"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
        ])
        .args(["-nodes", "-subj", &format!("/CN={host}"), "-days", "2"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-addext", &format!("subjectAltName=DNS:{host}")])
        .arg("-CA")
        .arg(path(by, "pem"))
        .arg("-CAkey")
        .arg(path(by, "key"))
        .arg("-keyout")
        .arg(path(name, "key"))
        .arg("-out")
        .arg(path(name, "pem"))
        .output()
        .expect("openssl runs");
    assert!(made.status.success(), "{made:?}");
}
