//! `anchor explain`: which anchor decides about a name, and why not another.

use stella_core::api::anchors::{ExplainedAnchor, Explanation};
use stella_core::command;
use stella_core::purl::SubjectName;
use stella_core::trust::{AnchorStatus, TrustAnchor, TrustState};

use crate::app::App;
use crate::app::error::{Error, Result};

/// How many anchors are told that nearly match.
const NEAR: usize = 5;

impl App {
    pub async fn explain_anchor(&self, text: &str) -> Result<Explanation> {
        let state = self.trust_head().await?;
        let name = SubjectName::parse(text)
            .map_err(|e| Error::invalid("purl.syntax", format!("{text:?} is no name: {e}")))?;
        let deciding = state.deciding(&name);
        let matching = state.matching(&name);
        let mut candidates: Vec<_> = matching
            .iter()
            .map(|a| explained(a, &deciding, matching.len()))
            .collect();
        candidates.extend(near_misses(&state, &name));
        Ok(Explanation {
            name: text.to_owned(),
            canonical: name.to_string(),
            deciding: deciding.iter().map(|a| a.id.to_string()).collect(),
            next: next(&name, &deciding),
            candidates,
        })
    }
}

fn explained(anchor: &TrustAnchor, deciding: &[&TrustAnchor], matching: usize) -> ExplainedAnchor {
    let decides = deciding.iter().any(|d| d.id == anchor.id);
    let mut why = match (decides, deciding.len()) {
        (true, 1) if matching == 1 => "the only pattern that matches".to_owned(),
        (true, 1) => format!("the most specific of the {matching} anchors that match"),
        (true, same) => {
            format!(
                "the most specific pattern; {same} anchors have it, each judges whole and one PASS suffices"
            )
        }
        (false, _) => {
            let winner = deciding.first().map_or(String::new(), |d| d.pattern.to_string());
            format!("matches, but {winner} is more specific and decides alone")
        }
    };
    if decides && anchor.status == AnchorStatus::Disabled {
        why.push_str("; it is disabled, so everything it decides fails");
    }
    row(anchor, true, decides, why)
}

/// Anchors that the asker may have meant, the nearest first.
fn near_misses(state: &TrustState, name: &SubjectName) -> Vec<ExplainedAnchor> {
    let mut near: Vec<(usize, ExplainedAnchor)> = state
        .anchors
        .values()
        .filter(|a| !a.pattern.matches(name))
        .filter_map(|a| {
            let (nearness, why) = why_not(a, name)?;
            Some((nearness, row(a, false, false, why)))
        })
        .collect();
    near.sort_by_key(|(nearness, _)| std::cmp::Reverse(*nearness));
    near.into_iter().take(NEAR).map(|(_, row)| row).collect()
}

fn why_not(anchor: &TrustAnchor, name: &SubjectName) -> Option<(usize, String)> {
    let (pattern, text) = (anchor.pattern.to_string(), name.to_string());
    if let Some((plain, qualifiers)) = text.split_once('?')
        && SubjectName::parse(plain).is_ok_and(|n| anchor.pattern.matches(&n))
    {
        return Some((
            usize::MAX,
            format!(
                "the name says where it comes from ({qualifiers}) and the pattern does not; add the same to the pattern"
            ),
        ));
    }
    if let Some((_, qualifiers)) = pattern.split_once('?')
        && !text.contains('?')
        && SubjectName::parse(&format!("{text}?{qualifiers}")).is_ok_and(|n| anchor.pattern.matches(&n))
    {
        return Some((
            usize::MAX,
            format!("the pattern is for what comes from {qualifiers}, and the name does not say so"),
        ));
    }
    let literal = pattern.trim_end_matches('*');
    if text.to_lowercase().starts_with(&literal.to_lowercase()) && pattern.ends_with('*') {
        return Some((usize::MAX - 1, "differs in upper and lower case only".to_owned()));
    }
    let shared: String = literal
        .chars()
        .zip(text.chars())
        .take_while(|(a, b)| a == b)
        .map(|(a, _)| a)
        .collect();
    // The package type alone is no likeness.
    let floor = text.find('/').map_or(0, |slash| slash + 1);
    (shared.len() > floor.max(2)).then(|| {
        (
            shared.len(),
            format!("another name: it agrees as far as {shared}"),
        )
    })
}

fn row(anchor: &TrustAnchor, matches: bool, decides: bool, why: String) -> ExplainedAnchor {
    ExplainedAnchor {
        anchor_id: anchor.id.to_string(),
        pattern: anchor.pattern.to_string(),
        status: anchor.status.to_string(),
        matches,
        decides,
        why,
    }
}

fn next(name: &SubjectName, deciding: &[&TrustAnchor]) -> Option<String> {
    match deciding {
        [] => {
            let text = name.to_string();
            let pattern = match text.split_once('/') {
                Some((ty, _)) if text.starts_with("pkg:") => format!("{ty}/*"),
                _ => text
                    .split_once(':')
                    .map_or(text.clone(), |(prefix, _)| format!("{prefix}:*")),
            };
            Some(format!(
                "stella anchor create --purl-pattern {} --key-ids KEY",
                command::word(&pattern)
            ))
        }
        all => all
            .iter()
            .find(|a| a.status == AnchorStatus::Disabled)
            .map(|a| format!("stella anchor show {} tells why it is disabled", a.id)),
    }
}
