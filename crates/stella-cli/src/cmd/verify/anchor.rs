//! `verify anchor`: everything stored about which one anchor decides.

use clap::Args;
use stella_core::api::verify::{VerdictList, VerifyAnchor};

use super::Question;
use super::many::{Into, Place, Sink, Written};
use crate::api::Route;
use crate::bulk::Bar;
use crate::context::{Context, Outcome};
use crate::error::CliError;

/// Judge everything stored about which an anchor decides, newest first
#[derive(Args)]
pub(super) struct Anchor {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    into: Into,
    #[command(flatten)]
    question: Question,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The anchor's id, or a prefix that only it has
    #[arg(value_name = "ANCHOR_ID")]
    id: Option<String>,
    /// The same, as a flag
    #[arg(long = "anchor-id", alias = "anchor", value_name = "ANCHOR_ID")]
    anchor: Option<String>,
}

impl Anchor {
    pub async fn run(self, context: &Context) -> Outcome {
        let anchor = self.which.id.or(self.which.anchor).unwrap_or_default();
        let (times, signer) = self.question.into_parts();
        let api = context.api().await?;
        let what = format!("verify anchor {anchor}");
        let mut sink = Sink::open(context, &self.into, &what)?;
        let form = sink.form();
        let mut cursor = match &sink.resumed {
            None => None,
            Some(place) => Some(place.attestation_id.clone().ok_or_else(|| {
                CliError::usage("these results do not say about which attestations they are")
            })?),
        };
        let bar = Bar::of_entries(context, 0);
        let mut scanned = 0;
        loop {
            let request = VerifyAnchor {
                anchor: anchor.clone(),
                limit: None,
                cursor,
                signer: signer.clone(),
                times: times.clone(),
            };
            let route = Route::to(&["verify", "anchor"]);
            let list: VerdictList = api.post(&route, &request).await?;
            let mut written = Written::default();
            for verdict in &list.verdicts {
                let place = Place {
                    line: None,
                    next_offset: None,
                    attestation_id: verdict.attestation_id.clone(),
                };
                written.add(form, &place, verdict)?;
            }
            sink.take(written)?;
            scanned += list.scanned.unwrap_or_default();
            bar.at(scanned, || {
                format!("{scanned} looked at; {}", sink.tally().text())
            });
            cursor = list.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        drop(bar);
        sink.finish()
    }
}
