//! The sessions of one signer thread: one for each token it works with. After
//! any error a session is not used again, for an operation may be left in it.

use std::collections::HashMap;
use std::time::Instant;

use cryptoki::error::Error;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;

use super::Module;
use super::login::{is_logged_in, let_go};
use crate::hsm::ErrorClass;
use crate::pkcs11::message::{Failure, Token, TokenName};

/// What went wrong in a session, and whether to close it.
pub(super) enum Trouble {
    /// An answer of the module itself.
    Module(Error),
    Other(Failure),
}

impl Trouble {
    pub(super) fn class(&self) -> Option<ErrorClass> {
        match self {
            Self::Module(Error::Pkcs11(rv, _)) => Some(super::rv::class(*rv)),
            Self::Module(_) => Some(ErrorClass::Module),
            Self::Other(Failure::Pkcs11 { class, .. }) => Some(*class),
            Self::Other(_) => None,
        }
    }
}

impl From<Error> for Trouble {
    fn from(e: Error) -> Self {
        Self::Module(e)
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Other(failure)
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Module(e) => e.into(),
            Trouble::Other(failure) => failure,
        }
    }
}

#[derive(Default)]
pub(super) struct Sessions(HashMap<TokenName, Live>);

pub(super) struct Live {
    pub session: Session,
    /// Of private keys, by the parent's numbers: good as long as the session.
    pub handles: HashMap<u32, ObjectHandle>,
    used: Instant,
}

impl Sessions {
    /// Does something in a session with the token, logged in where it asks
    /// for that. A lost session is opened anew, once.
    pub(super) fn with<R>(
        &mut self,
        module: &Module,
        token: &Token,
        mut work: impl FnMut(&mut Live) -> Result<R, Trouble>,
    ) -> Result<R, Failure> {
        let mut first = true;
        loop {
            let done = self.live(module, token).and_then(&mut work);
            let trouble = match done {
                Ok(done) => return Ok(done),
                Err(trouble) => trouble,
            };
            self.discard(&token.name, &trouble);
            if !first || trouble.class() != Some(ErrorClass::Session) {
                return Err(trouble.into());
            }
            first = false;
        }
    }

    fn live(&mut self, module: &Module, token: &Token) -> Result<&mut Live, Trouble> {
        let timeout = module.configuration.session_timeout;
        let good = |live: &Live| live.used.elapsed() <= timeout;
        if !self.0.get(&token.name).is_some_and(good) {
            // Closed before another is opened: some tokens have few.
            self.0.remove(&token.name);
            self.0.insert(token.name.clone(), open(module, token)?);
        }
        let gone = || Failure::new(ErrorClass::Session, "the session is gone");
        let live = self.0.get_mut(&token.name).ok_or_else(gone)?;
        live.used = Instant::now();
        Ok(live)
    }

    fn discard(&mut self, token: &TokenName, trouble: &Trouble) {
        let Some(live) = self.0.remove(token) else { return };
        if let Trouble::Module(e) = trouble {
            let_go(live.session, e);
        }
    }
}

fn open(module: &Module, token: &Token) -> Result<Live, Trouble> {
    let (slot, info) = module.resolve(&token.name.clone().into())?;
    let session = module.pkcs11()?.open_ro_session(slot)?;
    if info.login_required() && !is_logged_in(&session)? {
        return Err(Failure::LoginNeeded(token.name.clone()).into());
    }
    Ok(Live {
        session,
        handles: HashMap::new(),
        used: Instant::now(),
    })
}
