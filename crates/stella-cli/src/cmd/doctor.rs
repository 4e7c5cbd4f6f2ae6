//! `doctor`.

use clap::Args;
use stella_core::api::doctor::{DoctorCheck, DoctorFinding, DoctorReport, Health};

use crate::api::Route;
use crate::context::{Context, Outcome};
use crate::exit::Exit;
use crate::printer::{Page, Paint};
use crate::replicas::PerHost;

/// What works, what does not, and the command that mends it
///
/// Ends 1 when a check fails, so that it serves as a probe; a warning is no
/// failure.
#[derive(Args)]
pub struct Doctor {
    /// Only this check (may be repeated)
    #[arg(long = "check", value_name = "ID")]
    checks: Vec<String>,
    /// Tell of those too that have nothing to look at here
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    host: PerHost,
}

impl Doctor {
    pub async fn run(self, context: &Context) -> Outcome {
        let checks = (!self.checks.is_empty()).then(|| self.checks.join(","));
        let route = Route::to(&["doctor"])
            .with("check", checks)
            .with("all", self.all.then_some("true"));
        let report: DoctorReport = context.api().await?.get(&route).await?;
        context.printer.answer(&report, |page| describe(page, &report))?;
        Ok(match report.status {
            Health::Fail => Exit::Failed,
            Health::Skip | Health::Pass | Health::Warn => Exit::Done,
        })
    }
}

fn describe(page: &mut Page, report: &DoctorReport) {
    page.field("target", format!("{} ({})", report.target, report.mode));
    page.field("version", &report.version);
    page.line("");
    let width = report.checks.iter().map(|check| check.id.len()).max();
    for check in &report.checks {
        examined(page, check, width.unwrap_or_default());
    }
    page.brief(report.status);
}

fn examined(page: &mut Page, check: &DoctorCheck, width: usize) {
    let mark = mark(page, check.status);
    page.line(format!("{mark}  {:<width$}  {}", check.id, check.about));
    for finding in &check.findings {
        found(page, finding);
    }
}

fn found(page: &mut Page, finding: &DoctorFinding) {
    let sign = match finding.status {
        Health::Pass => page.paint(Paint::Green, "✓"),
        Health::Skip => page.paint(Paint::Dim, "–"),
        Health::Warn => page.paint(Paint::Yellow, "!"),
        Health::Fail => page.paint(Paint::Red, "✗"),
    };
    page.line(format!("  {sign} {}", finding.measured));
    if let Some(cause) = &finding.cause {
        page.line(format!("      because: {cause}"));
    }
    if let Some(next) = &finding.next {
        page.line(format!("      next: {next}"));
    }
}

fn mark(page: &Page, status: Health) -> String {
    let paint = match status {
        Health::Skip => Paint::Dim,
        Health::Pass => Paint::Green,
        Health::Warn => Paint::Yellow,
        Health::Fail => Paint::Red,
    };
    page.paint(paint, status)
}
