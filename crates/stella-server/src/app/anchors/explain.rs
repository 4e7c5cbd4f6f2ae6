//! `anchor explain NAME`: which anchor decides, and why the others do not.

use stella_core::api::anchors::{ExplainedAnchor, Explanation};
use stella_core::purl::SubjectName;

use crate::app::App;
use crate::app::error::{Error, Result};

/// Anchors shown at most, the matching ones first.
const SHOWN: usize = 50;

impl App {
    pub async fn explain_anchor(&self, name: &str) -> Result<Explanation> {
        let state = self.trust_head().await?;
        let parsed = SubjectName::parse(name).map_err(|e| Error::invalid("subject.name", e))?;
        let deciding: Vec<_> = state.deciding(&parsed).iter().map(|a| a.id).collect();
        let matching = state.matching(&parsed);
        let mut candidates: Vec<ExplainedAnchor> = matching
            .iter()
            .map(|anchor| {
                let decides = deciding.contains(&anchor.id);
                let why = match (decides, deciding.len()) {
                    (true, 1) => "the most specific pattern that matches decides alone",
                    (true, _) => {
                        "one of several anchors with this pattern: each judges whole, one PASS suffices"
                    }
                    (false, _) => "matches, but a more specific pattern decides",
                };
                ExplainedAnchor {
                    anchor_id: anchor.id.to_string(),
                    pattern: anchor.pattern.to_string(),
                    status: anchor.status.to_string(),
                    matches: true,
                    decides,
                    why: why.to_owned(),
                }
            })
            .collect();
        let others = state.anchors.values().filter(|a| !a.pattern.matches(&parsed));
        candidates.extend(
            others
                .take(SHOWN.saturating_sub(matching.len()))
                .map(|anchor| ExplainedAnchor {
                    anchor_id: anchor.id.to_string(),
                    pattern: anchor.pattern.to_string(),
                    status: anchor.status.to_string(),
                    matches: false,
                    decides: false,
                    why: "does not match".to_owned(),
                }),
        );
        let next = deciding
            .is_empty()
            .then(|| format!("stella anchor create --purl-pattern '{parsed}' --key-ids KEY"));
        Ok(Explanation {
            name: name.to_owned(),
            canonical: parsed.to_string(),
            deciding: deciding.iter().map(ToString::to_string).collect(),
            candidates,
            next,
        })
    }
}
