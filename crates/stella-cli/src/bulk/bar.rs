//! A bar on the terminal for work over many entries.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::context::Context;

/// Shows nothing where nobody looks.
pub struct Bar(Option<ProgressBar>);

impl Bar {
    /// Over bytes of an input, where it is known how many there are.
    pub fn of_bytes(context: &Context, total: Option<u64>, done: u64) -> Self {
        Self::of(context, total, done, "{bar:30} {bytes}/{total_bytes} {eta} {msg}")
    }

    /// Over entries of which nobody knows how many there are.
    pub fn of_entries(context: &Context, done: u64) -> Self {
        Self::of(context, None, done, "")
    }

    fn of(context: &Context, total: Option<u64>, done: u64, sized: &str) -> Self {
        if !context.shows_progress() {
            return Self(None);
        }
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
        let template = if total.is_some() { sized } else { "{spinner} {msg}" };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_position(done);
        Self(Some(bar))
    }

    pub fn at(&self, position: u64, message: impl FnOnce() -> String) {
        if let Some(bar) = &self.0 {
            bar.set_message(message());
            bar.set_position(position);
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
