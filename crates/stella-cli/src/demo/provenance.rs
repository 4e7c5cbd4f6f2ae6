//! SLSA Provenance v1 (slsa.dev/spec/v1.0/provenance) for this binary.

use serde_json::{Value, json};

pub fn slsa(lock_sha256: &str, version: &str, invocation: &str, built_at: &str) -> Value {
    json!({
        "buildDefinition": {
            "buildType": "https://stella.invalid/demo/cargo-build/v1",
            "externalParameters": { "command": "cargo build --release", "version": version },
            "internalParameters": { "target": std::env::consts::ARCH, "os": std::env::consts::OS },
            "resolvedDependencies": [
                { "uri": "file:Cargo.lock", "digest": { "sha256": lock_sha256 } },
            ],
        },
        "runDetails": {
            "builder": { "id": "https://stella.invalid/demo/builder" },
            "metadata": { "invocationId": invocation, "finishedOn": built_at },
        },
    })
}
