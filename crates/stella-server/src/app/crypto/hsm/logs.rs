//! `crypto hsm logs`: what happened to modules, and what failed because of them.

use stella_core::api::audit::LogList;

use crate::app::App;
use crate::app::error::Result;
use crate::app::logs::LogQuery;

/// The words by which such a line is known.
const WORDS: [&str; 2] = ["hsm", "pkcs#11"];

impl App {
    pub async fn hsm_logs(&self, query: LogQuery) -> Result<LogList> {
        let limit = query
            .limit
            .unwrap_or(usize::MAX)
            .min(self.settings.limits.max_list);
        let mut lines = Vec::new();
        for word in WORDS {
            let asked = LogQuery {
                filter: Some(word.to_owned()),
                ..query.clone()
            };
            for line in self.read_logs(asked).await?.lines {
                if !lines.contains(&line) {
                    lines.push(line);
                }
            }
        }
        lines.sort_by(|a, b| b.at.cmp(&a.at));
        lines.truncate(limit);
        Ok(LogList { lines })
    }
}
