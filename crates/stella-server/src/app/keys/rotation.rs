//! `keys rotation-warnings`.

use stella_core::api::keys::{RotationWarning, RotationWarnings};
use stella_core::time::Timestamp;
use stella_core::trust::{KeyRecord, KeyState, KeyType};

use crate::app::App;
use crate::app::error::Result;

impl App {
    /// Keys that sign or may have to, the most urgent first.
    pub async fn rotation_warnings(&self) -> Result<RotationWarnings> {
        let (state, now) = (self.trust_head().await?, self.now());
        let signs = |key: &&KeyRecord| {
            key.key_type == KeyType::Signing && matches!(key.state(now), KeyState::Active | KeyState::Standby)
        };
        let mut keys: Vec<_> = state
            .keys
            .values()
            .filter(signs)
            .filter_map(|k| self.warning(k, now))
            .collect();
        keys.sort_by_key(|k| std::cmp::Reverse(k.age_days));
        Ok(RotationWarnings { keys })
    }

    fn warning(&self, key: &KeyRecord, now: Timestamp) -> Option<RotationWarning> {
        let own = key.own()?;
        let profile = self.settings.profiles.get(&own.profile)?;
        let born = key.created_at.unwrap_or(key.entered_at);
        let age = months_between(born, now);
        let left = months_between(
            now,
            born.plus_months(i32::try_from(profile.max_age_months).unwrap_or(i32::MAX)),
        );
        let (level, warning) = if own.not_after.is_some_and(|end| end <= now) || age >= profile.max_age_months
        {
            ("overdue", "✗ Rotation overdue: it signs nothing new".to_owned())
        } else if profile.max_age_months.saturating_sub(age) <= profile.warning_months {
            let months = profile.max_age_months - age;
            (
                "due",
                format!(
                    "⚠️ Rotation due in {} month{}",
                    months.max(left),
                    if months == 1 { "" } else { "s" }
                ),
            )
        } else {
            ("ok", "✓ OK".to_owned())
        };
        Some(RotationWarning {
            key_id: key.id.to_string(),
            profile: own.profile.to_string(),
            age_days: now.since(born).as_secs() / 86_400,
            age: format!("{age}mo"),
            max_age: format!("{}mo", profile.max_age_months),
            level: level.to_owned(),
            warning,
        })
    }
}

/// Whole months; zero when `later` is not later.
fn months_between(earlier: Timestamp, later: Timestamp) -> u32 {
    // A month is at least 28 days, so the search is short and exact.
    let most = u32::try_from(later.since(earlier).as_secs() / (28 * 86_400))
        .unwrap_or(u32::MAX)
        .min(120_000);
    (0..=most)
        .rev()
        .find(|months| earlier.plus_months(i32::try_from(*months).unwrap_or(i32::MAX)) <= later)
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_counted_whole() {
        let at = |s: &str| s.parse::<Timestamp>().expect("a time");
        assert_eq!(
            months_between(at("2024-01-15T00:00:00Z"), at("2024-11-15T00:00:00Z")),
            10
        );
        assert_eq!(
            months_between(at("2024-01-15T00:00:00Z"), at("2024-11-14T23:59:59Z")),
            9
        );
        assert_eq!(
            months_between(at("2024-11-15T00:00:00Z"), at("2024-01-15T00:00:00Z")),
            0
        );
    }
}
