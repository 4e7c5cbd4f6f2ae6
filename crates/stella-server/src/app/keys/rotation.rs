//! `keys rotation-warnings`: how near each signing key is to its end.

use stella_core::api::keys::{RotationWarning, RotationWarnings};
use stella_core::time::Timestamp;
use stella_core::trust::key::OwnKey;
use stella_core::trust::{KeyRecord, KeyState, KeyType, TrustState};

use crate::app::App;
use crate::app::error::Result;

impl App {
    /// Keys that sign, stand by or were just replaced; the most urgent first.
    pub async fn rotation_warnings(&self) -> Result<RotationWarnings> {
        let state = self.trust_head().await?;
        let now = self.not_before(&state);
        let mut rotating: Vec<_> = state
            .keys
            .values()
            .filter(|k| k.key_type == KeyType::Signing)
            .filter_map(|k| Some((k, k.own()?)))
            .filter(|(k, _)| ROTATING.contains(&k.state(now)))
            .collect();
        rotating.sort_by_key(|(_, own)| own.not_after.unwrap_or(Timestamp::MAX));
        Ok(RotationWarnings {
            keys: rotating
                .into_iter()
                .map(|(key, own)| self.rotation_warning(&state, key, own, now))
                .collect(),
        })
    }

    fn rotation_warning(
        &self,
        state: &TrustState,
        key: &KeyRecord,
        own: &OwnKey,
        now: Timestamp,
    ) -> RotationWarning {
        let created = key.created_at.unwrap_or(key.entered_at);
        let ahead = i32::try_from(self.warning_months(state, &own.profile)).unwrap_or(i32::MAX);
        let (level, warning) = match own.not_after {
            _ if key.state(now) == KeyState::Retiring => ("ok", "OK (retiring)".to_owned()),
            Some(end) if end <= now => (
                "overdue",
                format!("Rotation overdue since {}; signs nothing new", day(end)),
            ),
            Some(end) if end.plus_months(ahead.saturating_neg()) <= now => ("due", due(now, end)),
            _ => ("ok", "OK".to_owned()),
        };
        RotationWarning {
            key_id: key.id.to_string(),
            profile: own.profile.to_string(),
            age_days: now.since(created).as_secs() / 86_400,
            age: format!("{}mo", whole_months(created, now)),
            max_age: own.not_after.map_or_else(
                || "-".to_owned(),
                |end| format!("{}mo", whole_months(created, end)),
            ),
            level: level.to_owned(),
            warning,
        }
    }
}

const ROTATING: [KeyState; 3] = [KeyState::Active, KeyState::Standby, KeyState::Retiring];

/// Months as long as one is left, so that age and rest add up to the maximum;
/// then days.
fn due(now: Timestamp, end: Timestamp) -> String {
    let whole = whole_months(now, end);
    let begun = u32::from(now.plus_months(i32::try_from(whole).unwrap_or(i32::MAX)) < end);
    match whole {
        0 => {
            let days = end.since(now).as_secs().div_ceil(86_400);
            format!("Rotation due in {}", count(days, "day"))
        }
        _ => format!(
            "Rotation due in {}",
            count(u64::from(whole.saturating_add(begun)), "month")
        ),
    }
}

fn count(n: u64, unit: &str) -> String {
    if n == 1 {
        format!("1 {unit}")
    } else {
        format!("{n} {unit}s")
    }
}

/// Calendar months that have passed entirely.
fn whole_months(from: Timestamp, to: Timestamp) -> u32 {
    let days = to.since(from).as_secs() / 86_400;
    // Never too few: a month has at least 28 days.
    let most = i32::try_from(days / 28).unwrap_or(i32::MAX).min(120_000);
    let (mut low, mut high) = (0_i32, most.saturating_add(1));
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if from.plus_months(middle) <= to {
            low = middle;
        } else {
            high = middle;
        }
    }
    u32::try_from(low).unwrap_or(0)
}

fn day(t: Timestamp) -> String {
    t.fixed_width().chars().take(10).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: &str) -> Timestamp {
        s.parse().expect("a time")
    }

    #[test]
    fn months_are_those_of_the_calendar() {
        let born = at("2024-01-31T00:00:00Z");
        for (moment, months) in [
            ("2024-01-31T00:00:00Z", 0),
            ("2024-02-28T23:59:59Z", 0),
            ("2024-02-29T00:00:00Z", 1),
            ("2024-11-30T00:00:00Z", 10),
            ("2025-01-30T23:59:59Z", 11),
            ("2025-01-31T00:00:00Z", 12),
            ("2124-01-31T00:00:00Z", 1200),
        ] {
            assert_eq!(whole_months(born, at(moment)), months, "{moment}");
        }
    }

    #[test]
    fn what_is_left_is_told_in_months_then_in_days() {
        let end = at("2025-01-15T00:00:00Z");
        for (now, text) in [
            ("2024-11-15T00:00:00Z", "Rotation due in 2 months"),
            ("2024-11-20T00:00:00Z", "Rotation due in 2 months"),
            ("2024-12-15T00:00:00Z", "Rotation due in 1 month"),
            ("2024-12-16T00:00:00Z", "Rotation due in 30 days"),
            ("2025-01-14T12:00:00Z", "Rotation due in 1 day"),
        ] {
            assert_eq!(due(at(now), end), text, "{now}");
        }
    }
}
