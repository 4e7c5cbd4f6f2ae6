//! The one place that tries a PIN. It does so once, when it is told to.

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, SessionState, UserType};
use cryptoki::slot::TokenInfo;
use cryptoki::types::RawAuthPin;
use zeroize::Zeroizing;

use super::token::pin_state;
use super::{Module, rv};
use crate::hsm::{ErrorClass, LoginState};
use crate::pkcs11::message::{Failure, LoggedIn, Login, Token, TokenName};

/// A PIN that was refused, and in which words.
pub(super) struct Refusal {
    pin: Zeroizing<Vec<u8>>,
    failure: Failure,
}

impl Module {
    pub(super) fn anchors(&self) -> MutexGuard<'_, BTreeMap<TokenName, Session>> {
        self.anchors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn login_state(&self, token: &Token, info: &TokenInfo) -> LoginState {
        match self.anchors().get(&token.name).map(is_logged_in) {
            Some(Ok(true)) => LoginState::LoggedIn,
            _ if !info.login_required() => LoginState::NotRequired,
            _ => LoginState::LoggedOut,
        }
    }

    /// Logs in and keeps a session open that keeps the login. The parent asks
    /// for one login at a time, but one that it gave up may still be under way:
    /// whoever comes next waits for it, and hears what came of it.
    pub(super) fn login(&self, login: &Login<'_>) -> Result<LoggedIn, Failure> {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        let anchor = self.anchors().remove(&login.token);
        if let Some(session) = anchor {
            match is_logged_in(&session) {
                Ok(true) => {
                    self.anchors().insert(login.token.clone(), session);
                    return Ok(LoggedIn { before: None });
                }
                Ok(false) => drop(session),
                Err(e) => let_go(session, &e),
            }
        }
        let (slot, info) = self.resolve(&login.token.clone().into())?;
        let session = self.pkcs11()?.open_ro_session(slot)?;
        let before = pin_state(&info);
        if !is_logged_in(&session)? {
            match refusals.get(&login.token) {
                Some(refusal) if !login.force && *refusal.pin == login.pin => {
                    return Err(refusal.failure.clone());
                }
                _ => {}
            }
            refuse_to_risk(&info, login)?;
            if let Err(failure) = try_pin(&session, &info, login) {
                if matches!(
                    &failure,
                    Failure::Pkcs11 {
                        class: ErrorClass::Auth,
                        ..
                    }
                ) {
                    let refusal = Refusal {
                        pin: Zeroizing::new(login.pin.to_vec()),
                        failure: failure.clone(),
                    };
                    refusals.insert(login.token.clone(), refusal);
                }
                return Err(failure);
            }
            refusals.remove(&login.token);
        }
        self.anchors().insert(login.token.clone(), session);
        Ok(LoggedIn { before: Some(before) })
    }
}

/// The flags are read right before the PIN is tried.
fn refuse_to_risk(info: &TokenInfo, login: &Login<'_>) -> Result<(), Failure> {
    let refuse = |ckr: &str, detail: &str| {
        Err(Failure::Pkcs11 {
            class: ErrorClass::Auth,
            function: Some("C_GetTokenInfo".to_owned()),
            ckr: Some(ckr.to_owned()),
            detail: detail.to_owned(),
            restart: false,
        })
    };
    if info.user_pin_locked() {
        return refuse(
            "CKF_USER_PIN_LOCKED",
            "the token has locked the PIN; its security officer must unlock it",
        );
    }
    if info.user_pin_final_try() && !login.force {
        return refuse(
            "CKF_USER_PIN_FINAL_TRY",
            "one more wrong PIN locks the token, so none is tried",
        );
    }
    // The flag says that a wrong PIN was entered since the last right one, and
    // a try of ours had no answer: it may be that one. No flag proves nothing.
    if info.user_pin_count_low() && login.doubt && !login.force {
        return refuse(
            "CKF_USER_PIN_COUNT_LOW",
            "a login had no answer and the token has counted a wrong PIN, perhaps this one; \
             none is tried by itself: stella crypto hsm auth verify --force",
        );
    }
    if login.pin.is_empty() && !info.protected_authentication_path() {
        return refuse("CKF_LOGIN_REQUIRED", "the module has no PIN configured");
    }
    Ok(())
}

fn try_pin(session: &Session, info: &TokenInfo, login: &Login<'_>) -> Result<(), Failure> {
    let result = if login.pin.is_empty() && info.protected_authentication_path() {
        session.login(UserType::User, None)
    } else {
        let pin = RawAuthPin::new(Box::new(login.pin.to_vec()));
        session.login_with_raw(UserType::User, &pin)
    };
    match result {
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

pub(super) fn is_logged_in(session: &Session) -> Result<bool, Error> {
    let state = session.get_session_info()?.session_state();
    Ok(matches!(state, SessionState::RoUser | SessionState::RwUser))
}

/// Closes a session after an error, unless the error says that it is gone:
/// another may have its handle by now.
pub(super) fn let_go(session: Session, e: &Error) {
    match e {
        Error::Pkcs11(rv, _) if rv::session_is_gone(*rv) => std::mem::forget(session),
        _ => drop(session),
    }
}
