//! An instance: a home opened, its parts put together.

mod moving;
mod sealing;
mod store;

pub use moving::Moved;

pub(crate) use store::bounds;

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
use stella_keys::software::{SEALING_KEY_FILE as SEALING_KEY, SealingKey, SealingKeyError};
use stella_store::{Store, StoreError};
use uuid::Uuid;

use crate::app::backup::Backups;
use crate::app::crypto::hsm::Modules;
use crate::app::local_hsm::Locals;
use crate::app::replicas::Replica;
use crate::app::trust::Decision;
use crate::app::{App, Caller, Target, signers, tokens, trust};
use crate::clock::{self, SystemClock};
use crate::config::{self, ConfigError, Settings, StoreUrl};
use crate::entropy::{self, Entropy, SystemEntropy};
use crate::home::{CONFIG, Home, HomeError, HomeLock, Locking, MARKER};
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
    /// The same for a command that looks after the store, also one that
    /// servers share.
    Upkeep,
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
    /// Where everything is to be kept, written into the home's configuration.
    pub store: Option<StoreChoice>,
    /// A copy of the sealing key of the store's other homes.
    pub sealing_key: Option<PathBuf>,
}

#[derive(Debug, Clone)]
pub struct StoreChoice {
    pub url: StoreUrl,
    pub password_file: Option<PathBuf>,
}

/// What `init` made.
#[derive(Debug, Clone)]
pub struct Initialized {
    pub home: PathBuf,
    pub key: Option<Key>,
    /// The anchor `test:*` for type `test`; none where the store had anchors.
    pub anchor_id: Option<String>,
    /// Other homes share its store.
    pub shared: bool,
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
    #[error("private keys in this database are sealed with sealing key {0}, which is not in this home")]
    SealingKeyElsewhere(String),
    #[error(
        "private keys in this database are sealed with sealing key {theirs}; {} is sealing key {ours}", .file.display()
    )]
    SealingKeyOfAnother {
        file: PathBuf,
        ours: String,
        theirs: String,
    },
    #[error("the home {} keeps everything in PostgreSQL, and no server runs on it here", .0.display())]
    Shared(PathBuf),
    #[error("{0}")]
    NotMoved(String),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("this machine's clock says {0}; nothing is signed or judged by such a clock")]
    Clock(Timestamp),
    #[error(transparent)]
    App(Box<crate::app::Error>),
}

impl Instance {
    /// Makes a home with its sealing key and database, a key for the profile
    /// `default`, and an anchor under which test statements verify. On a store
    /// that others have filled already, nothing but the home.
    pub async fn init(path: &Path, options: &InitOptions) -> Result<Initialized, InstanceError> {
        // Read first: a mistake in the configuration leaves no half a home.
        let mut settings = config::load(&config::Sources::usual(path, options.config.as_deref()))?;
        if let Some(choice) = &options.store {
            settings.store.url = choice.url.clone();
            settings.store.password_file.clone_from(&choice.password_file);
        }
        // Asked first as well: is it there, set up, and may this home join it?
        let joined = match &settings.store.url {
            StoreUrl::Postgres(url) => {
                if Home::open(path).is_ok_and(|home| !home.is_unfinished()) {
                    return Err(HomeError::Exists(path.to_owned()).into());
                }
                let store = store::in_postgres(url, &settings.store).await?;
                let key = sealing::for_joining(store.as_ref(), path, options.sealing_key.as_deref()).await?;
                Some((store, key))
            }
            StoreUrl::Home | StoreUrl::File(_) => None,
        };
        let (home, lock) = claim(path).await?;
        let shared = joined.is_some();
        let filled = Self::fill(home.clone(), lock, settings, options, joined).await;
        // What keys were sealed with in a store that is elsewhere must stay.
        if filled.is_err() && !(shared && home.sealing_key().exists()) {
            empty(&home);
        }
        filled
    }

    async fn fill(
        home: Home,
        lock: HomeLock,
        settings: Settings,
        options: &InitOptions,
        joined: Option<(Arc<dyn Store>, Option<SealingKey>)>,
    ) -> Result<Initialized, InstanceError> {
        let path = home.path().to_owned();
        let shared = joined.is_some();
        let store = match joined {
            Some((store, key)) => {
                sealing::share(store.as_ref(), &home, key).await?;
                store
            }
            None => {
                sealing::kept_or_made(&home)?;
                store::open(&home, &settings, true).await?
            }
        };
        if let Some(choice) = &options.store {
            store::write_choice(&home, choice)?;
        }
        let instance = Self::assemble(home.clone(), lock, settings, store, OpenMode::Embedded).await?;
        let app = &instance.app;
        let caller = Caller::owner(format!("local:{}", user::current()));
        let trust = app.trust_head().await?;
        let mut notes = Vec::new();
        let mut key = None;
        if trust.keys.is_empty() && !options.no_key {
            match no_first_key(&app.settings) {
                Some(obstacle) => notes.push(obstacle),
                None => key = Some(app.generate_key(&caller, first_key()).await?),
            }
        }
        let anchor_id = match trust.anchors.is_empty() {
            true => Some(test_anchor(app, &caller, key.as_ref()).await?.to_string()),
            false => None,
        };
        home.finish()?;
        Ok(Initialized {
            home: path,
            key,
            anchor_id,
            shared,
            notes,
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
        if mode == OpenMode::Embedded && matches!(settings.store.url, StoreUrl::Postgres(_)) {
            return Err(InstanceError::Shared(path.to_owned()));
        }
        // What was lost is never replaced by an empty one.
        let store = store::open(&home, &settings, false).await?;
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
        if mode == OpenMode::Server {
            // Nobody else has the home: what is there was left by a process
            // that was killed.
            crate::backup::sweep(&home);
        }
        let now = SystemClock.now();
        if !clock::is_plausible(now) {
            return Err(InstanceError::Clock(now));
        }
        let shared = matches!(settings.store.url, StoreUrl::Postgres(_));
        let sealer = sealing::sealer(&home, store.as_ref(), shared).await?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        let runtime = tokio::runtime::Handle::current();
        let workers = Workers::new(&store, &clock, &entropy, &settings, &runtime);
        let mut signers = signers::Signers::new(sealer);
        signers.local = Locals::run_by(Arc::new(LocalWorkers {
            workers: workers.clone(),
            folder: home.path().join("local-hsm"),
        }));
        let mut process = [0; 16];
        entropy
            .fill(&mut process)
            .map_err(|e| crate::app::Error::internal(e.to_string()))?;
        let app = App {
            replica: Replica {
                name: settings.server.replica.clone().unwrap_or_else(host_name),
                process: Uuid::from_bytes(process),
                started_at: now,
                url: Default::default(),
            },
            store,
            clock,
            entropy,
            settings,
            trust: trust::Trust::default(),
            known_tokens: tokens::KnownTokens::default(),
            signers,
            modules: Modules::opened_by(Box::new(workers)),
            doctor: Default::default(),
            backups: Backups::of(home.clone()),
            queued: Default::default(),
            target: Target {
                place: home.path().display().to_string(),
                mode: match mode {
                    OpenMode::Embedded | OpenMode::Upkeep => "embedded",
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

/// As a replica may be called.
fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || ".-_".contains(c) {
            c
        } else {
            '-'
        }
    };
    name.chars().map(plain).collect()
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
            Self::SealingKeyLost(_) | Self::SealingKeyElsewhere(_) => "key-store.no-sealing-key",
            Self::SealingKeyOfAnother { .. } => "key-store.wrong-sealing-key",
            Self::SealingKey(e) => e.code(),
            Self::Shared(_) => "store.shared",
            Self::NotMoved(_) => "store.not-moved",
            Self::Store(StoreError::Schema(_)) => "store.schema",
            Self::Store(StoreError::Moved(_)) => "store.moved",
            Self::Store(StoreError::Unstorable(_)) => "store.unstorable",
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
            Self::Store(StoreError::Unavailable(_)) => Some(
                "see that the store can be reached and has room (df -h), then repeat: nothing was written".to_owned(),
            ),
            Self::Clock(_) => Some("set it, e.g. timedatectl set-ntp true, then repeat".to_owned()),
            Self::Store(StoreError::Missing(_)) => Some(
                "restore the database from your backup, or set store.url to where it is; only where nothing was ever kept, remove the folder and run stella init"
                    .to_owned(),
            ),
            Self::Store(StoreError::Moved(_)) => Some(
                "set store.url to that database in this home's signer.yaml and run stella serve; if the move was cut off, repeat stella db copy"
                    .to_owned(),
            ),
            Self::SealingKeyElsewhere(_) | Self::SealingKeyOfAnother { .. } => Some(
                "copy the file sealing.key from a home that uses this database, mode 600: into this home, or for a new one stella init --sealing-key FILE"
                    .to_owned(),
            ),
            Self::Shared(path) => Some(format!(
                "stella --home {} serve, or ask a server that runs elsewhere with --server URL",
                path.display()
            )),
            Self::Store(StoreError::Corrupt(_)) => Some("stella db verify, or restore a backup".to_owned()),
            Self::App(e) => e.next.clone(),
            // Their words say what to run, where a command mends it.
            Self::SealingKey(_) | Self::Store(_) | Self::Home(_) | Self::Config(_) | Self::NotMoved(_) => None,
        }
    }
}

/// How long a lock that is held is waited for: an embedded command next door
/// is soon done, a server is not.
const LOCK_WAIT: Duration = Duration::from_secs(2);
const LOCK_PAUSE: Duration = Duration::from_millis(50);

async fn lock(home: &Home, mode: OpenMode) -> Result<HomeLock, HomeError> {
    let how = match mode {
        OpenMode::Embedded | OpenMode::Upkeep => Locking::Shared,
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

/// A new home, or one that an `init` was cut off in, taken over. Under the
/// lock, so that one that still goes on is left alone.
async fn claim(path: &Path) -> Result<(Home, HomeLock), HomeError> {
    let home = match Home::create(path) {
        Err(HomeError::Exists(_)) => Home::open(path).map_err(|_| HomeError::Exists(path.to_owned()))?,
        made => made?,
    };
    if !home.is_unfinished() {
        return Err(HomeError::Exists(path.to_owned()));
    }
    let lock = lock(&home, OpenMode::Server).await?;
    // Another may have finished it meanwhile, or failed and taken it away.
    if !home.is_unfinished() {
        return Err(HomeError::Exists(path.to_owned()));
    }
    // A key that is whole may have sealed something in a database elsewhere.
    match SealingKey::read(path) {
        Err(SealingKeyError::Malformed(_)) => clear(&home, &[MARKER, CONFIG]),
        _ => clear(&home, &[MARKER, CONFIG, SEALING_KEY]),
    }
    Ok((home, lock))
}

/// Takes away what a failed `init` put into a folder that was empty, so that
/// it can be repeated; nobody was told of anything in it.
fn empty(home: &Home) {
    clear(home, &[]);
}

fn clear(home: &Home, except: &[&str]) {
    let Ok(files) = std::fs::read_dir(home.path()) else {
        return;
    };
    for file in files.flatten() {
        if except.iter().any(|name| file.file_name() == *name) {
            continue;
        }
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
