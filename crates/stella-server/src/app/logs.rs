//! `attest logs`: the operations log.

use stella_core::api::audit::{LogLine, LogList};
use stella_store::LogFilter;

use crate::app::error::{Error, Result};
use crate::app::{App, values};

#[derive(Debug, Clone, Default)]
pub struct LogQuery {
    pub level: Option<String>,
    pub since: Option<String>,
    pub filter: Option<String>,
    pub limit: Option<usize>,
}

const LEVELS: [&str; 3] = ["error", "warn", "info"];

impl App {
    pub async fn read_logs(&self, query: LogQuery) -> Result<LogList> {
        if let Some(level) = query.level.as_deref().filter(|l| !LEVELS.contains(l)) {
            return Err(Error::invalid(
                "logs.level",
                format!("{level:?} is not a level: use {}", LEVELS.join(", ")),
            ));
        }
        let max = self.settings.limits.max_list;
        let lines = self
            .store
            .read_log(LogFilter {
                level: query.level,
                since: query
                    .since
                    .as_deref()
                    .map(|t| values::time(t, self.now()))
                    .transpose()?,
                contains: query.filter.filter(|f| !f.is_empty()),
                limit: query.limit.unwrap_or(max).clamp(1, max),
            })
            .await?;
        Ok(LogList {
            lines: lines
                .into_iter()
                .map(|l| LogLine {
                    at: l.at.to_string(),
                    level: l.level,
                    component: l.component,
                    message: l.message,
                    fields: l.fields,
                })
                .collect(),
        })
    }
}
