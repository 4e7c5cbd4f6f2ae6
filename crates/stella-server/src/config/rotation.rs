//! `signer.rotation`.

use std::time::Duration;

use super::Rotation;
use super::section::{Item, Result, Section};

/// Whom a rotation warning goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Alert {
    Slack { channel: String },
    Email { recipients: Vec<String> },
    Webhook { url: String },
}

pub fn read(mut section: Section<'_>, rotation: &mut Rotation) -> Result<()> {
    section.read("auto", &mut rotation.auto, Item::flag)?;
    section.read("warningMonths", &mut rotation.warning_months, Item::months)?;
    section.read("overlap", &mut rotation.overlap, Item::duration)?;
    let twice = section.item("overlap").is_some();
    section.read("overlapDays", &mut rotation.overlap, |item| {
        if twice {
            return Err(item.wrong("is the same setting as overlap: give one of them"));
        }
        let days: u32 = item.number()?;
        Ok(Duration::from_secs(u64::from(days) * 86_400))
    })?;
    section.read("activate", &mut rotation.activate_on_trust, activate)?;
    section.read("alerts", &mut rotation.alerts, alerts)?;
    section.finish()
}

fn activate(item: &Item<'_>) -> Result<bool> {
    match item.text()?.as_str() {
        "on-trust" => Ok(true),
        "manual" => Ok(false),
        _ => Err(item.wrong("must be on-trust or manual")),
    }
}

fn alerts(item: &Item<'_>) -> Result<Vec<Alert>> {
    item.list()?
        .iter()
        .map(|item| {
            let mut section = Section::new(item)?;
            let kind = section.required("type")?;
            let alert = match kind.text()?.as_str() {
                "slack" => Alert::Slack {
                    channel: section.required("channel")?.text()?,
                },
                "email" => Alert::Email {
                    recipients: texts(&section.required("recipients")?)?,
                },
                "webhook" => Alert::Webhook {
                    url: section.required("url")?.text()?,
                },
                _ => return Err(kind.wrong("must be slack, email or webhook")),
            };
            section.finish()?;
            Ok(alert)
        })
        .collect()
}

fn texts(item: &Item<'_>) -> Result<Vec<String>> {
    item.list()?.iter().map(Item::text).collect()
}
