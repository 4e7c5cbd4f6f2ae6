//! Pages of a list: one bound for all of them.

use crate::app::App;
use crate::app::error::{Error, Result};

/// Unless asked otherwise.
const DEFAULT: usize = 100;

/// How many rows a page holds.
#[derive(Debug, Clone, Copy)]
pub struct Page(usize);

impl App {
    pub(super) fn page(&self, asked: Option<usize>) -> Result<Page> {
        let max = self.settings.limits.max_list;
        let rows = asked.unwrap_or(DEFAULT.min(max));
        if !(1..=max).contains(&rows) {
            return Err(Error::invalid(
                "list.limit",
                format!("a page holds 1 to {max} (limits.maxList)"),
            ));
        }
        Ok(Page(rows))
    }
}

impl Page {
    pub fn rows(self) -> usize {
        self.0
    }

    /// To ask the store for: one row more tells whether another page follows.
    pub fn asked(self) -> usize {
        self.0.saturating_add(1)
    }

    /// Cuts what came to the page, and says whether there is more.
    pub fn cut<T>(self, rows: &mut Vec<T>) -> bool {
        let more = rows.len() > self.0;
        rows.truncate(self.0);
        more
    }
}
