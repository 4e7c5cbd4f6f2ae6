//! What happens to a module without anybody asking, for whoever keeps a log.

use super::ModuleName;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Info,
    Warning,
    Error,
}

/// One line of the module's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HsmEvent {
    pub severity: Severity,
    /// Stable, such as `worker.started`.
    pub kind: &'static str,
    pub text: String,
}

/// Takes the events. It is called from the threads that sign and supervise:
/// it returns at once, and never calls back into the module.
pub trait HsmEvents: Send + Sync {
    fn event(&self, module: &ModuleName, event: &HsmEvent);
}

/// Nobody keeps a log.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl HsmEvents for Silent {
    fn event(&self, _: &ModuleName, _: &HsmEvent) {}
}
