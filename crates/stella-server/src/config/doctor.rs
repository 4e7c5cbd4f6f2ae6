//! `doctor`.

use std::time::Duration;

use super::section::{Item, Result, Section};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoctorSettings {
    /// How long one check may take.
    pub check_timeout: Duration,
    /// How far the clock may be behind the last event.
    pub clock_tolerance: Duration,
    /// How many of the newest attestations are verified.
    pub verify_newest: usize,
}

impl Default for DoctorSettings {
    fn default() -> Self {
        Self {
            check_timeout: Duration::from_secs(20),
            clock_tolerance: Duration::from_secs(5),
            verify_newest: 20,
        }
    }
}

pub fn read(mut section: Section<'_>, doctor: &mut DoctorSettings) -> Result<()> {
    section.read("checkTimeout", &mut doctor.check_timeout, Item::duration)?;
    section.read("clockTolerance", &mut doctor.clock_tolerance, Item::duration)?;
    section.read("verifyNewest", &mut doctor.verify_newest, Item::number)?;
    section.finish()
}
