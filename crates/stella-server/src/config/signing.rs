//! `signing`.

use stella_keys::pool::BreakerSettings;

use super::SigningSettings;
use super::section::{Item, Result, Section};

pub fn read(mut section: Section<'_>, signing: &mut SigningSettings) -> Result<()> {
    section.read("deadline", &mut signing.deadline, Item::duration)?;
    section.read("retryFirst", &mut signing.retry_first, Item::duration)?;
    section.read("retryMax", &mut signing.retry_max, Item::duration)?;
    section.read("claimLifetime", &mut signing.claim_lifetime, Item::duration)?;
    section.read("claimBatch", &mut signing.claim_batch, Item::number)?;
    section.read("queueRate", &mut signing.queue_rate, |i| i.number().map(Some))?;
    if let Some(breaker) = section.section("breaker")? {
        read_breaker(breaker, &mut signing.breaker)?;
    }
    section.finish()
}

fn read_breaker(mut section: Section<'_>, breaker: &mut BreakerSettings) -> Result<()> {
    section.read("failures", &mut breaker.failures, Item::number)?;
    section.read("goodProbes", &mut breaker.good_probes, Item::number)?;
    section.read("firstPause", &mut breaker.first_pause, Item::duration)?;
    section.read("maxPause", &mut breaker.max_pause, Item::duration)?;
    section.read("probeInterval", &mut breaker.probe_interval, Item::duration)?;
    section.finish()
}
