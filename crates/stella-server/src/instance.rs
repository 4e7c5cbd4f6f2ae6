//! An instance: a home opened, its parts put together.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use stella_core::api::keys::{GenerateKey, Key};
use stella_core::id::{AnchorId, KeyId};
use stella_core::predicate::PredicateType;
use stella_core::purl::PurlPattern;
use stella_core::time::{Clock, Timestamp};
use stella_core::trust::anchor::AnchorPolicy;
use stella_core::trust::decide::anchor;
use stella_keys::software::{Sealer, SealingKey, SealingKeyError};
use stella_store::sqlite::{OpenOptions as StoreOptions, SqliteStore};
use stella_store::{Store, StoreError};

use crate::app::crypto::hsm::Modules;
use crate::app::local_hsm::Locals;
use crate::app::trust::Decision;
use crate::app::{App, Caller, Target, signers, tokens, trust};
use crate::clock::{self, SystemClock};
use crate::config::{self, ConfigError, Settings};
use crate::entropy::{self, Entropy, SystemEntropy};
use crate::home::{Home, HomeError, HomeLock, Locking};
use crate::hsm::{LocalWorkers, Workers};
use crate::{http, user};

/// A home in use. The lock goes when this is dropped.
pub struct Instance {
    app: Arc<App>,
    home: Home,
    _lock: HomeLock,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// One command, in its own process; many may run at once.
    Embedded,
    /// The one server of this home.
    Server,
}

#[derive(Debug, Clone, Default)]
pub struct OpenOptions {
    /// Read this file instead of the usual ones.
    pub config: Option<PathBuf>,
}

#[derive(Debug, Clone, Default)]
pub struct InitOptions {
    pub config: Option<PathBuf>,
    /// Make no key, and hence an anchor that holds none.
    pub no_key: bool,
}

/// What `init` made.
#[derive(Debug, Clone)]
pub struct Initialized {
    pub home: PathBuf,
    pub key: Option<Key>,
    /// The anchor `test:*` for type `test`.
    pub anchor_id: String,
    /// What the person should know, such as why there is no key.
    pub notes: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    #[error(transparent)]
    Home(#[from] HomeError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("the sealing key {} is missing, and the store holds keys sealed with it", .0.display())]
    SealingKeyLost(PathBuf),
    #[error(transparent)]
    SealingKey(#[from] SealingKeyError),
    #[error("this build has no store for {0}")]
    NoSuchStore(String),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("this machine's clock says {0}; nothing is signed or judged by such a clock")]
    Clock(Timestamp),
    #[error(transparent)]
    App(Box<crate::app::Error>),
}

impl Instance {
    /// Makes a home with its sealing key and database, a key for the profile
    /// `default`, and an anchor under which test statements verify.
    pub async fn init(path: &Path, options: &InitOptions) -> Result<Initialized, InstanceError> {
        // Read first: a mistake in the configuration leaves no half a home.
        let settings = config::load(&config::Sources::usual(path, options.config.as_deref()))?;
        let home = match Home::create(path) {
            Err(HomeError::Exists(_)) => clear_unfinished(path).await?,
            made => made?,
        };
        let filled = Self::fill(home.clone(), settings, options.no_key).await;
        if filled.is_err() {
            empty(&home);
        }
        filled
    }

    async fn fill(home: Home, settings: Settings, no_key: bool) -> Result<Initialized, InstanceError> {
        let path = home.path().to_owned();
        let lock = lock(&home, OpenMode::Server).await?;
        SealingKey::create(&path, &mut stella_keys::entropy::SystemEntropy)?;
        let store = open_store(&home, &settings, true).await?;
        let instance = Self::assemble(home.clone(), lock, settings, store, OpenMode::Embedded).await?;
        let app = &instance.app;
        let caller = Caller::owner(format!("local:{}", user::current()));
        let obstacle = if no_key { None } else { no_first_key(&app.settings) };
        let key = if no_key || obstacle.is_some() {
            None
        } else {
            Some(app.generate_key(&caller, first_key()).await?)
        };
        let anchor_id = test_anchor(app, &caller, key.as_ref()).await?;
        home.finish()?;
        Ok(Initialized {
            home: path,
            key,
            anchor_id: anchor_id.to_string(),
            notes: obstacle.into_iter().collect(),
        })
    }

    /// Opens an existing home. It never makes one.
    pub async fn open(path: &Path, mode: OpenMode, options: &OpenOptions) -> Result<Self, InstanceError> {
        let home = Home::open(path)?;
        let lock = lock(&home, mode).await?;
        let settings = config::load(&config::Sources::usual(path, options.config.as_deref()))?;
        if home.is_unfinished() {
            return Err(HomeError::Unfinished(path.to_owned()).into());
        }
        // What was lost is never replaced by an empty one.
        let store = open_store(&home, &settings, false).await?;
        Self::assemble(home, lock, settings, store, mode).await
    }

    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Whoever calls it says who asks, by a [`http::peer::Peer`] in the
    /// request's extensions.
    pub fn router(&self) -> Router {
        http::router(Arc::clone(&self.app))
    }

    async fn assemble(
        home: Home,
        lock: HomeLock,
        settings: Settings,
        store: Arc<dyn Store>,
        mode: OpenMode,
    ) -> Result<Self, InstanceError> {
        keep_out_of_core_dumps();
        let now = SystemClock.now();
        if !clock::is_plausible(now) {
            return Err(InstanceError::Clock(now));
        }
        let sealer = sealer(&home, store.as_ref()).await?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        let runtime = tokio::runtime::Handle::current();
        let workers = Workers::new(&store, &clock, &entropy, &settings, &runtime);
        let mut signers = signers::Signers::new(sealer);
        signers.local = Locals::run_by(Arc::new(LocalWorkers {
            workers: workers.clone(),
            folder: home.path().join("local-hsm"),
        }));
        let app = App {
            store,
            clock,
            entropy,
            settings,
            trust: trust::Trust::default(),
            known_tokens: tokens::KnownTokens::default(),
            signers,
            modules: Modules::opened_by(Box::new(workers)),
            doctor: Default::default(),
            queued: Default::default(),
            target: Target {
                place: home.path().display().to_string(),
                mode: match mode {
                    OpenMode::Embedded => "embedded",
                    OpenMode::Server => "server",
                },
            },
        };
        Ok(Self {
            app: Arc::new(app),
            home,
            _lock: lock,
        })
    }
}

impl From<crate::app::Error> for InstanceError {
    fn from(error: crate::app::Error) -> Self {
        Self::App(Box::new(error))
    }
}

impl InstanceError {
    pub fn code(&self) -> &str {
        match self {
            Self::Home(HomeError::Missing(_)) => "home.missing",
            Self::Home(HomeError::Foreign(_)) => "home.foreign",
            Self::Home(HomeError::Exists(_)) => "home.exists",
            Self::Home(HomeError::InUse(_)) => "home.in-use",
            Self::Home(HomeError::Owner { .. } | HomeError::Mode { .. }) => "home.unsafe",
            Self::Home(HomeError::Unfinished(_)) => "home.unfinished",
            Self::Home(HomeError::ReadOnly { .. }) => "home.read-only",
            Self::Home(HomeError::Io { .. }) => "home.io",
            Self::Config(e) => e.code(),
            Self::SealingKeyLost(_) => "key-store.no-sealing-key",
            Self::SealingKey(e) => e.code(),
            Self::NoSuchStore(_) => "store.unsupported",
            Self::Store(StoreError::Schema(_)) => "store.schema",
            Self::Store(StoreError::Missing(_)) => "store.missing",
            Self::Store(StoreError::Corrupt(_)) => "store.corrupt",
            Self::Store(_) => "store.unavailable",
            Self::Clock(_) => "clock.implausible",
            Self::App(e) => &e.code,
        }
    }

    /// What mends it.
    pub fn next(&self) -> Option<String> {
        match self {
            Self::Home(HomeError::Missing(path) | HomeError::Unfinished(path)) => {
                Some(format!("stella --home {} init", path.display()))
            }
            Self::Home(HomeError::Exists(path)) => {
                Some(format!("stella --home {} attest status", path.display()))
            }
            Self::Home(HomeError::Foreign(_)) => {
                Some("stella --home DIR init, with a folder that is empty or not there yet".to_owned())
            }
            Self::Home(HomeError::ReadOnly { .. }) => {
                Some("mount it so that it can be written; every verdict is recorded".to_owned())
            }
            Self::Home(HomeError::InUse(_)) => {
                Some("use the server that runs there, or stop it first".to_owned())
            }
            Self::SealingKeyLost(_)
            | Self::SealingKey(SealingKeyError::Missing(_) | SealingKeyError::Malformed(_)) => {
                Some("restore sealing.key into the home from your backup, mode 600".to_owned())
            }
            Self::Clock(_) => Some("set it, e.g. timedatectl set-ntp true, then repeat".to_owned()),
            Self::Store(StoreError::Missing(_)) => Some(
                "restore the database from your backup, or set store.url to where it is; only where nothing was ever kept, remove the folder and run stella init"
                    .to_owned(),
            ),
            Self::NoSuchStore(_) => Some("set store.url to sqlite: (a file in the home)".to_owned()),
            Self::Store(StoreError::Corrupt(_)) => Some("stella db verify, or restore a backup".to_owned()),
            Self::App(e) => e.next.clone(),
            // Their words say what to run, where a command mends it.
            Self::SealingKey(_) | Self::Store(_) | Self::Home(_) | Self::Config(_) => None,
        }
    }
}

/// How long a lock that is held is waited for: an embedded command next door
/// is soon done, a server is not.
const LOCK_WAIT: Duration = Duration::from_secs(2);
const LOCK_PAUSE: Duration = Duration::from_millis(50);

async fn lock(home: &Home, mode: OpenMode) -> Result<HomeLock, HomeError> {
    let how = match mode {
        OpenMode::Embedded => Locking::Shared,
        OpenMode::Server => Locking::Exclusive,
    };
    let mut waited = Duration::ZERO;
    loop {
        match home.lock(how) {
            Err(HomeError::InUse(_)) if waited < LOCK_WAIT => {
                tokio::time::sleep(LOCK_PAUSE).await;
                waited += LOCK_PAUSE;
            }
            other => return other,
        }
    }
}

/// `sqlite:` is the file in the home, `sqlite:PATH` another.
async fn open_store(home: &Home, settings: &Settings, create: bool) -> Result<Arc<dyn Store>, InstanceError> {
    let path = match settings.store.url.strip_prefix("sqlite:") {
        Some("") => home.database(),
        Some(path) => PathBuf::from(path),
        None => return Err(InstanceError::NoSuchStore(settings.store.shown())),
    };
    let options = StoreOptions {
        create,
        ..StoreOptions::default()
    };
    let opened = tokio::task::spawn_blocking(move || SqliteStore::open(&path, &options));
    match opened.await {
        Ok(store) => Ok(Arc::new(store?)),
        Err(e) => Err(StoreError::Unavailable(e.to_string()).into()),
    }
}

/// Absent while nothing is sealed is a home whose first key is not made yet;
/// absent otherwise is a loss, and a new one would hide it.
async fn sealer(home: &Home, store: &dyn Store) -> Result<Option<Sealer>, InstanceError> {
    let path = home.sealing_key();
    let there = path.try_exists().map_err(|source| HomeError::Io {
        path: path.clone(),
        source,
    })?;
    if !there {
        let sealed = store.has_sealed_keys().await?;
        return if sealed {
            Err(InstanceError::SealingKeyLost(path))
        } else {
            Ok(None)
        };
    }
    let key = SealingKey::read(home.path())?;
    Sealer::new(&key)
        .map(Some)
        .map_err(|e| crate::app::Error::unavailable("key-store.sealing", e.to_string()).into())
}

/// Why no key can be made for the profile `default`, if so.
fn no_first_key(settings: &Settings) -> Option<String> {
    let Some((_, profile)) = settings
        .profiles
        .iter()
        .find(|(name, _)| name.as_str() == "default")
    else {
        return Some("no key was made: there is no profile named default".to_owned());
    };
    (signers::scheme(&profile.key_store) != "software").then(|| {
        format!(
            "no key was made: the keys of profile default are in {}; stella keys generate --profile default",
            profile.key_store
        )
    })
}

/// A home that an `init` was cut off in, taken over. Under the lock, so that
/// one that still goes on is left alone.
async fn clear_unfinished(path: &Path) -> Result<Home, InstanceError> {
    let home = Home::open(path).map_err(|_| HomeError::Exists(path.to_owned()))?;
    if home.is_unfinished() {
        let _lock = lock(&home, OpenMode::Server).await?;
        if home.is_unfinished() {
            empty(&home);
            return Ok(Home::create(path)?);
        }
    }
    Err(HomeError::Exists(path.to_owned()).into())
}

/// Takes away what a failed `init` put into a folder that was empty, so that
/// it can be repeated; nobody was told of anything in it.
fn empty(home: &Home) {
    let Ok(files) = std::fs::read_dir(home.path()) else {
        return;
    };
    for file in files.flatten() {
        if let Err(e) = std::fs::remove_file(file.path()) {
            tracing::warn!(file = %file.path().display(), "stays behind: {e}");
        }
    }
}

fn first_key() -> GenerateKey {
    GenerateKey {
        profile: Some("default".to_owned()),
        key_id: None,
        algorithm: None,
        key_type: None,
        standby: false,
        key_store: None,
    }
}

/// `test:*`, for statements of type `test` alone: what `attest create --type
/// test` signs verifies at once, and nothing else does.
async fn test_anchor(app: &App, caller: &Caller, key: Option<&Key>) -> crate::app::Result<AnchorId> {
    let broken = |e: &dyn std::fmt::Display| crate::app::Error::internal(e.to_string());
    let pattern: PurlPattern = "test:*".parse().map_err(|e| broken(&e))?;
    let kind = PredicateType::from_name("test").map_err(|e| broken(&e))?;
    let keys: Vec<KeyId> = match key {
        Some(key) => vec![key.id.parse().map_err(|e| broken(&e))?],
        None => Vec::new(),
    };
    let id = AnchorId::new(app.now(), entropy::id_bytes(app.entropy.as_ref())?);
    let policy = AnchorPolicy {
        allowed_predicate_types: Some([kind].into_iter().collect()),
        ..AnchorPolicy::default()
    };
    app.change(caller, |state, now| {
        let events = anchor::create(state, id, pattern.clone(), policy.clone(), &keys, now)?;
        Ok(Decision::new(events, ()))
    })
    .await?;
    Ok(id)
}

/// prctl(2) PR_SET_DUMPABLE: no core file, no ptrace by the same user. Where
/// the kernel refuses, signing goes on: it is a second line of defence.
fn keep_out_of_core_dumps() {
    let off = rustix::process::DumpableBehavior::NotDumpable;
    if let Err(e) = rustix::process::set_dumpable_behavior(off) {
        tracing::warn!("core dumps could not be switched off: {e}");
    }
}
