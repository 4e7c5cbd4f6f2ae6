//! Servers on a store that can be hurt.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Mutex, PoisonError};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use stella_testkit::postgres::Postgres;

use super::PATIENCE;
use super::faults::{Fault, On};
use crate::instance::{Instance, stop};
use crate::{Result, Stuck};

pub struct Bed {
    pub servers: Vec<Server>,
    pub postgres: Option<(Postgres, String)>,
    /// What the servers' clock is off by, where they read it from there.
    pub clock: PathBuf,
    pub disk: Option<Disk>,
    _folder: tempfile::TempDir,
}

pub struct Server {
    pub instance: Instance,
    process: Mutex<Option<Child>>,
    pid: u32,
}

impl Bed {
    pub fn make(exe: &Path, fault: &Fault) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("stella-drill-").tempdir()?;
        let disk = match fault.disk {
            Some(mebibytes) => Some(Disk::mount(&folder.path().join("disk"), mebibytes)?),
            None => None,
        };
        let place = disk.as_ref().map_or(folder.path(), |disk| disk.folder.as_path());
        let clock = folder.path().join("clock");
        std::fs::write(&clock, "+0\n")?;
        let environment = if fault.own_clock {
            with_clock(&clock)?
        } else {
            Vec::new()
        };
        let at = |n: usize| {
            Instance::new(exe, &place.join(format!("home-{n}"))).with_environment(environment.clone())
        };
        let (instances, postgres) = match fault.on {
            On::Sqlite => {
                at(0).ok(&["init"])?;
                (vec![at(0)], None)
            }
            On::Postgres { replicas } => {
                let (postgres, instances) = on_postgres(replicas, at, disk.as_ref())?;
                (instances, Some(postgres))
            }
        };
        let mut servers = Vec::new();
        for instance in instances {
            let process = instance.serve(PATIENCE)?;
            servers.push(Server {
                pid: process.id(),
                process: Mutex::new(Some(process)),
                instance,
            });
        }
        Ok(Self {
            servers,
            postgres,
            clock,
            disk,
            _folder: folder,
        })
    }

    pub fn store(&self) -> &'static str {
        match self.postgres {
            Some(_) => "PostgreSQL",
            None => "SQLite",
        }
    }

    /// As the owner of the database.
    pub fn sql(&self, sql: &str) -> Result<String> {
        let (postgres, database) = self.postgres.as_ref().ok_or_else(no_postgres)?;
        postgres.psql(database, "postgres", sql).map_err(Stuck)
    }

    /// Everything that was acknowledged and is not so, and every lie.
    pub fn lost(&self, acknowledged: &[String]) -> Result<Vec<String>> {
        let mut lost = Vec::new();
        let any = self
            .servers
            .first()
            .ok_or_else(|| Stuck("no server".to_owned()))?;
        for id in acknowledged {
            let asked = json!({ "attestation": id }).to_string();
            let (_, report) = any.instance.ask("POST", "/v1/verify/attestation", &[], &asked)?;
            if report["verdict"] != "PASS" {
                lost.push(format!("{id}: {report}"));
            }
        }
        let report = any.instance.json(&["db", "verify"])?;
        if report["ok"] != true {
            lost.push(format!("db verify: {report}"));
        }
        for server in &self.servers {
            server.end()?;
        }
        Ok(lost)
    }
}

pub fn no_postgres() -> Stuck {
    Stuck("it is on no PostgreSQL".to_owned())
}

impl Server {
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| Stuck("no process id".to_owned()))?;
        kill_process(pid, signal).map_err(|e| Stuck(e.to_string()))
    }

    fn end(&self) -> Result<()> {
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner).take();
        process.map_or(Ok(()), stop)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let process = self.process.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(process) = process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn on_postgres(
    replicas: usize,
    at: impl Fn(usize) -> Instance,
    disk: Option<&Disk>,
) -> Result<((Postgres, String), Vec<Instance>)> {
    let postgres = Postgres::start();
    let database = postgres.database();
    let sql = |sql: &str| postgres.psql(&database, "postgres", sql).map_err(Stuck);
    sql("CREATE ROLE stella LOGIN")?;
    let (owner, url) = (postgres.url(&database), postgres.url_as("stella", &database));
    at(0).ok(&["db", "migrate", "--store", &owner, "--service", "stella"])?;
    at(0).ok(&["init", "--store", &url])?;
    if let Some(disk) = disk {
        // The tables alone: where the log of transactions cannot be written,
        // PostgreSQL itself gives up, and somebody has to start it.
        let place = disk.folder.join("tablespace");
        std::fs::create_dir(&place)?;
        run(Command::new("chown").arg("postgres").arg(&place))?;
        run(Command::new("chmod").arg("a+x").arg(&disk.folder))?;
        sql(&format!("CREATE TABLESPACE small LOCATION '{}'", place.display()))?;
        let tables = sql(
            "SELECT string_agg('ALTER TABLE signer.' || relname || ' SET TABLESPACE small;', ' ')
             FROM pg_class WHERE relnamespace = 'signer'::regnamespace AND relkind = 'r'",
        )?;
        sql(&tables)?;
    }
    let sealing = at(0).home().join("sealing.key").display().to_string();
    let instances: Vec<Instance> = (0..replicas).map(at).collect();
    for (n, replica) in instances.iter().enumerate() {
        if n > 0 {
            replica.ok(&["init", "--store", &url, "--sealing-key", &sealing])?;
        }
        let settings = json!({
            "store": {"url": url},
            "signing": {"deadline": "2s", "retryFirst": "200ms", "retryMax": "1s", "claimLifetime": "4s"},
            "server": {"replica": format!("replica-{n}"), "queueInterval": "200ms"},
        });
        std::fs::write(replica.home().join("signer.yaml"), settings.to_string())?;
    }
    Ok(((postgres, database), instances))
}

/// A small file system of its own.
pub struct Disk {
    pub folder: PathBuf,
}

impl Disk {
    pub fn mount(folder: &Path, mebibytes: u32) -> Result<Self> {
        std::fs::create_dir(folder)?;
        let size = format!("size={mebibytes}m");
        run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "stella-drill"])
            .arg(folder))?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// To the last byte.
    pub fn fill(&self) -> Result<()> {
        let mut file = std::fs::File::create(self.ballast())?;
        let block = [0xAA; 4096];
        while std::io::Write::write_all(&mut file, &block).is_ok() {}
        Ok(())
    }

    pub fn free(&self) -> Result<()> {
        Ok(std::fs::remove_file(self.ballast())?)
    }

    fn ballast(&self) -> PathBuf {
        self.folder.join("ballast")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // It goes when the last file on it is closed.
        let _ = Command::new("umount").arg("-l").arg(&self.folder).status();
    }
}

pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status()?;
    match status.success() {
        true => Ok(()),
        false => Err(Stuck(format!("{:?} ended with {status}", command.get_program()))),
    }
}

/// libfaketime reads there, each time anew, by how much to lie.
fn with_clock(clock: &Path) -> Result<Vec<(String, String)>> {
    let library = super::faults::faketime().ok_or_else(|| Stuck("no libfaketime".to_owned()))?;
    let text = |path: &Path| path.display().to_string();
    Ok([
        ("LD_PRELOAD", text(&library)),
        ("FAKETIME_TIMESTAMP_FILE", text(clock)),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        // Time that only runs on is nobody's to set.
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("DONT_FAKE_MONOTONIC", "1".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec())
}
