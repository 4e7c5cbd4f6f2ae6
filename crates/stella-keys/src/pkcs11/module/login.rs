//! The one place that tries a PIN. It does so once, when it is told to.

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, SessionState, UserType};
use cryptoki::slot::TokenInfo;
use cryptoki::types::RawAuthPin;

use super::token::{described, pin_state};
use super::{Module, rv};
use crate::hsm::{ErrorClass, LoginState};
use crate::pkcs11::message::{Failure, LoggedIn, Login};

impl Module {
    pub(super) fn anchors(&self) -> MutexGuard<'_, BTreeMap<String, Session>> {
        self.anchors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn login_state(&self, token: &TokenInfo) -> LoginState {
        let serial = token.serial_number().trim_end();
        match self.anchors().get(serial).map(is_logged_in) {
            Some(Ok(true)) => LoginState::LoggedIn,
            _ if !token.login_required() => LoginState::NotRequired,
            _ => LoginState::LoggedOut,
        }
    }

    /// Logs in and keeps a session open that keeps the login.
    pub(super) fn login(&self, login: &Login<'_>) -> Result<LoggedIn, Failure> {
        // Held throughout: one PIN is tried once, whoever else asks.
        let mut anchors = self.anchors();
        let serial = login.serial;
        if let Some(session) = anchors.remove(serial) {
            match is_logged_in(&session) {
                Ok(true) => {
                    anchors.insert(serial.to_owned(), session);
                    return Ok(LoggedIn { before: None });
                }
                Ok(false) => drop(session),
                Err(e) => let_go(session, &e),
            }
        }
        let (slot, info) = self.resolve_by_serial(serial)?;
        let session = self.pkcs11()?.open_ro_session(slot)?;
        let before = pin_state(&info);
        if !is_logged_in(&session)? {
            refuse_to_risk(&info, login)?;
            try_pin(&session, &info, login)?;
        }
        anchors.insert(serial.to_owned(), session);
        Ok(LoggedIn { before: Some(before) })
    }

    fn resolve_by_serial(&self, serial: &str) -> Result<(cryptoki::slot::Slot, TokenInfo), Failure> {
        let pkcs11 = self.pkcs11()?;
        let mut failed = None;
        for slot in self.occupied_slots()? {
            match pkcs11.get_token_info(slot) {
                Ok(info) if described(slot, &info).serial == serial => return Ok((slot, info)),
                Ok(_) => {}
                Err(e) => failed = Some(Failure::from(e)),
            }
        }
        let gone = || {
            Failure::new(
                ErrorClass::Module,
                format!("the token of serial {serial} is gone"),
            )
        };
        Err(failed.unwrap_or_else(gone))
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
