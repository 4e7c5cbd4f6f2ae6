//! `server`.

use super::section::{Item, Result, Section};
use super::{ServerSettings, TlsFiles};

pub fn read(mut section: Section<'_>, server: &mut ServerSettings) -> Result<()> {
    section.read("listen", &mut server.listen, |i| i.text().map(Some))?;
    section.read("allowPlainHttp", &mut server.allow_plain_http, Item::flag)?;
    if let Some(tls) = section.section("tls")? {
        server.tls = Some(tls_files(tls)?);
    }
    section.read("shutdownGrace", &mut server.shutdown_grace, Item::duration)?;
    section.read("drainDelay", &mut server.drain_delay, Item::duration)?;
    section.read("requestTimeout", &mut server.request_timeout, Item::duration)?;
    section.read(
        "headerReadTimeout",
        &mut server.header_read_timeout,
        Item::duration,
    )?;
    section.read(
        "maxConcurrentRequests",
        &mut server.max_concurrent_requests,
        Item::number,
    )?;
    section.read("maxConnections", &mut server.max_connections, Item::number)?;
    section.read("logRetention", &mut server.log_retention, Item::duration)?;
    section.read("queueInterval", &mut server.queue_interval, Item::duration)?;
    section.read("rescanInterval", &mut server.rescan_interval, Item::duration)?;
    section.read("replica", &mut server.replica, |i| i.text().map(Some))?;
    section.read("advertise", &mut server.advertise, |i| url(i).map(Some))?;
    section.read("heartbeat", &mut server.heartbeat, Item::duration)?;
    section.finish()
}

fn url(item: &Item<'_>) -> Result<String> {
    let text = item.text()?;
    let host = ["https://", "http://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme));
    match host {
        Some(host) if !host.is_empty() && !host.contains(['@', '?', '#', ' ']) => Ok(text),
        _ => Err(item.wrong("write where clients reach it, such as https://10.0.0.7:8420")),
    }
}

fn tls_files(mut section: Section<'_>) -> Result<TlsFiles> {
    let files = TlsFiles {
        certificate: section.required("certFile")?.text()?.into(),
        key: section.required("keyFile")?.text()?.into(),
    };
    section.finish()?;
    Ok(files)
}
