//! The folder of a local HSM: every file in it appears whole or not at all,
//! and outlives a loss of power once a call has returned.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use zeroize::Zeroizing;

use super::error::LocalError;
use crate::entropy::Entropy;
use crate::guarded;

#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    #[cfg(test)]
    pub(super) steps: tests::Steps,
}

/// Held by whoever changes something that another process could change too.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "the lock lasts as long as the file is open")] File);

impl Folder {
    /// A folder that is there, and its owner's alone.
    pub fn open(path: &Path) -> Result<Self, LocalError> {
        let found = match fs::symlink_metadata(path) {
            Ok(found) => found,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(LocalError::Missing(path.to_owned()));
            }
            Err(e) => return Err(LocalError::io("read", path, e)),
        };
        if !found.is_dir() {
            return Err(LocalError::damaged(path, "it is no folder"));
        }
        guarded::owners_alone(path, found.uid(), found.mode(), 0o700).map_err(LocalError::Unsafe)?;
        Ok(Self::at(path))
    }

    /// A new one, that takes its place by [`Folder::publish`].
    pub fn create(path: &Path) -> Result<Self, LocalError> {
        DirBuilder::new()
            .mode(0o700)
            .create(path)
            .map_err(|e| LocalError::io("make", path, e))?;
        Ok(Self::at(path))
    }

    fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            #[cfg(test)]
            steps: tests::Steps::default(),
        }
    }

    /// Renames it, whole, to where nothing is.
    pub fn publish(self, to: &Path) -> Result<Self, LocalError> {
        let renamed = rustix::fs::renameat_with(
            rustix::fs::CWD,
            &self.path,
            rustix::fs::CWD,
            to,
            rustix::fs::RenameFlags::NOREPLACE,
        );
        match renamed {
            Ok(()) => {}
            Err(rustix::io::Errno::EXIST) => return Err(LocalError::Exists(to.to_owned())),
            Err(e) => return Err(LocalError::io("make", to, e)),
        }
        let published = Self::at(to);
        if let Some(parent) = to.parent() {
            sync_folder(parent)?;
        }
        Ok(published)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub fn has(&self, name: &str) -> bool {
        fs::symlink_metadata(self.file(name)).is_ok()
    }

    pub fn names(&self) -> Result<Vec<String>, LocalError> {
        let failed = |e| LocalError::io("read", &self.path, e);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            names.extend(entry.map_err(failed)?.file_name().into_string());
        }
        names.sort();
        Ok(names)
    }

    /// A whole file, of at most so many bytes.
    pub fn read(&self, name: &str, most: usize) -> Result<Zeroizing<Vec<u8>>, LocalError> {
        let path = self.file(name);
        let mut bytes = Zeroizing::new(Vec::with_capacity(most + 1));
        guarded::open(&path)?
            .take(most as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(|e| LocalError::io("read", &path, e))?;
        if bytes.len() > most {
            return Err(LocalError::damaged(
                &path,
                format!("it is longer than {most} bytes"),
            ));
        }
        Ok(bytes)
    }

    /// To read and to write in place.
    pub fn open_file(&self, name: &str) -> Result<File, LocalError> {
        Ok(guarded::open_with(
            &self.file(name),
            OpenOptions::new().read(true).write(true),
        )?)
    }

    /// A file where none is; `false` where one is.
    pub fn create_file(
        &self,
        name: &str,
        bytes: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Result<bool, LocalError> {
        self.with_part(name, bytes, entropy, |part, path| {
            // A hard link, because a rename would replace a file that came
            // in between.
            match fs::hard_link(part, path) {
                Ok(()) => Ok(true),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
                Err(e) => Err(e),
            }
        })
    }

    /// In place of the file that is there.
    pub fn replace_file(
        &self,
        name: &str,
        bytes: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Result<(), LocalError> {
        self.with_part(name, bytes, entropy, |part, path| fs::rename(part, path))
    }

    fn with_part<R>(
        &self,
        name: &str,
        bytes: &[u8],
        entropy: &mut dyn Entropy,
        put: impl FnOnce(&Path, &Path) -> io::Result<R>,
    ) -> Result<R, LocalError> {
        let mut suffix = [0; 8];
        entropy.fill(&mut suffix)?;
        let path = self.file(name);
        let part = self.file(&format!(".{name}.{:016x}", u64::from_be_bytes(suffix)));
        let done = self.write_new(&part, bytes).and_then(|()| {
            self.step()?;
            put(&part, &path)
        });
        let swept = match self.step().and_then(|()| fs::remove_file(&part)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        };
        let done = done.map_err(|e| LocalError::io("write", &path, e))?;
        swept.map_err(|e| LocalError::io("remove", &part, e))?;
        self.step().map_err(|e| LocalError::io("sync", &self.path, e))?;
        sync_folder(&self.path)?;
        Ok(done)
    }

    fn write_new(&self, part: &Path, bytes: &[u8]) -> io::Result<()> {
        self.step()?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(part)?;
        self.step()?;
        file.write_all(bytes)?;
        self.step()?;
        file.sync_all()
    }

    /// Waits for any other process that holds it.
    pub fn lock(&self) -> Result<Lock, LocalError> {
        let path = self.file("lock");
        let file = guarded::open_with(
            &path,
            OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600),
        )?;
        flock(&file, FlockOperation::LockExclusive).map_err(|e| LocalError::io("lock", &path, e))?;
        Ok(Lock(file))
    }

    /// Removes what a process left that was killed while it wrote. Only under
    /// the lock.
    pub fn sweep(&self, _: &Lock) -> Result<(), LocalError> {
        for name in self.names()?.iter().filter(|name| name.starts_with('.')) {
            let path = self.file(name);
            fs::remove_file(&path).map_err(|e| LocalError::io("remove", &path, e))?;
        }
        Ok(())
    }

    /// A test lets the disk be full, or the process be gone, from any of
    /// these on.
    pub(super) fn step(&self) -> io::Result<()> {
        #[cfg(test)]
        self.steps.next()?;
        Ok(())
    }
}

fn sync_folder(path: &Path) -> Result<(), LocalError> {
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(|e| LocalError::io("sync", path, e))
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    /// How many more steps succeed; all do below zero.
    #[derive(Debug, Clone)]
    pub struct Steps(Arc<AtomicI64>);

    impl Default for Steps {
        fn default() -> Self {
            Self(Arc::new(AtomicI64::new(-1)))
        }
    }

    impl Steps {
        pub fn fail_after(&self, steps: i64) {
            self.0.store(steps, Ordering::SeqCst);
        }

        pub fn succeed(&self) {
            self.0.store(-1, Ordering::SeqCst);
        }

        pub fn next(&self) -> io::Result<()> {
            match self.0.load(Ordering::SeqCst) {
                0 => Err(io::ErrorKind::StorageFull.into()),
                left if left > 0 => {
                    self.0.store(left - 1, Ordering::SeqCst);
                    Ok(())
                }
                _ => Ok(()),
            }
        }
    }
}
