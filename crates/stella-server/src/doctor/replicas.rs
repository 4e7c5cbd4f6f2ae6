//! Whether the servers that share a store are alike, and there.

use std::sync::Arc;

use stella_store::ReplicaRow;

use super::{Check, Finding};
use crate::app::replicas::{Digests, digests};
use crate::app::{App, Permission, Result};

pub const CHECK: Check = Check {
    id: "check.attestor.replicas",
    about: "the servers that share the store are there, are set up alike and can sign",
    needs: Permission::ReadStatus,
    examine: |app| Box::pin(examine(app)),
};

async fn examine(app: Arc<App>) -> Result<Vec<Finding>> {
    let replicas = app.store.replicas().await?;
    if replicas.is_empty() {
        return Ok(vec![Finding::skip("no server has told of itself")]);
    }
    let own = digests(&app.settings);
    let mut findings = Vec::new();
    for replica in &replicas {
        let before = findings.len();
        if replica.name == app.replica.name {
            named_twice(&app, replica, &mut findings);
        } else {
            another(&app, &own, replica, &mut findings);
        }
        if findings.len() == before {
            findings.push(Finding::pass(format!(
                "{} ({}) was seen at {}",
                replica.name, replica.version, replica.seen_at
            )));
        }
    }
    Ok(findings)
}

/// What an embedded instance finds under its name is a server's.
fn named_twice(app: &App, replica: &ReplicaRow, findings: &mut Vec<Finding>) {
    let serves = app.target.mode == "server";
    if serves && replica.process != app.replica.process && replica.seen_at > app.silent_since() {
        findings.push(Finding::fail(
            format!("another server calls itself {} as well", replica.name),
            "both take the name of the same host, or one configuration was copied with server.replica",
            "stella config get server.replica, and another name in the signer.yaml of one of them",
        ));
    }
}

fn another(app: &App, own: &Digests, replica: &ReplicaRow, findings: &mut Vec<Finding>) {
    let name = &replica.name;
    if replica.seen_at <= app.silent_since() {
        findings.push(Finding::warn(
            format!("{name} was not seen since {}", replica.seen_at),
            "it was killed or is paused, or it cannot reach the database",
            format!("stella doctor, on {name}"),
        ));
        return;
    }
    if let Some(unable) = replica.unable.as_object() {
        for (profile, why) in unable {
            findings.push(Finding::warn(
                format!("{name} cannot sign for profile {profile}"),
                why.as_str().unwrap_or_default(),
                format!("stella doctor --check check.attestor.signing-health, on {name}"),
            ));
        }
    }
    if replica.version != env!("CARGO_PKG_VERSION") {
        findings.push(Finding::warn(
            format!(
                "{name} runs {}, this one {}",
                replica.version,
                env!("CARGO_PKG_VERSION")
            ),
            "an upgrade has not come to all of them",
            format!("stella --version, on {name}"),
        ));
        return;
    }
    let theirs: Digests = serde_json::from_value(replica.settings.clone()).unwrap_or_default();
    let mut names: Vec<&str> = own.keys().chain(theirs.keys()).map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    names.retain(|key| own.get(*key) != theirs.get(*key));
    if !names.is_empty() {
        findings.push(Finding::warn(
            format!("{name} has other values for {}", names.join(", ")),
            "their configuration files differ: what is decided depends on who is asked",
            format!("stella config list, here and on {name}"),
        ));
    }
}
