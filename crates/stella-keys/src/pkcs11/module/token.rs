//! Slots and the tokens in them. Slot numbers are asked for each time: they
//! are the module's to change.

use std::thread;
use std::time::Duration;

use cryptoki::context::Pkcs11;
use cryptoki::error::{Error, RvError};
use cryptoki::slot::{Slot as SlotId, TokenInfo};

use super::Module;
use super::mechanism::{Way, ways};
use crate::hsm::{ErrorClass, LoginState, PinState, Slot, TokenSelector};
use crate::pkcs11::message::{Failure, Token, TokenName};

/// A token that is kept in files says `CKR_GENERAL_ERROR` while another process
/// writes them, as each login does: it is asked again.
fn token_info(pkcs11: &Pkcs11, slot: SlotId) -> Result<TokenInfo, Error> {
    for pause in BEING_WRITTEN {
        match pkcs11.get_token_info(slot) {
            Err(Error::Pkcs11(RvError::GeneralError, _)) => thread::sleep(pause),
            answer => return answer,
        }
    }
    pkcs11.get_token_info(slot)
}

impl Module {
    /// Slots with a token in them. None at all means that what is behind the
    /// module is down: some libraries answer so, with `CKR_OK`.
    pub(super) fn occupied_slots(&self) -> Result<Vec<SlotId>, Failure> {
        let slots = self.pkcs11()?.get_slots_with_token()?;
        if slots.is_empty() {
            return Err(Failure::Pkcs11 {
                class: ErrorClass::Module,
                function: Some("C_GetSlotList".to_owned()),
                ckr: Some("CKR_OK, 0 slots".to_owned()),
                detail: "the module has no token".to_owned(),
                restart: true,
            });
        }
        Ok(slots)
    }

    pub(super) fn slots(&self) -> Result<Vec<Slot>, Failure> {
        self.occupied_slots()?;
        let pkcs11 = self.pkcs11()?;
        let mut out = Vec::new();
        for id in pkcs11.get_all_slots()? {
            let slot = pkcs11.get_slot_info(id)?;
            let mut listed = Slot {
                id: id.id(),
                description: slot.slot_description().trim_end().to_owned(),
                token_present: slot.token_present(),
                initialized: false,
                label: String::new(),
                serial: String::new(),
                manufacturer: String::new(),
                model: String::new(),
                login: LoginState::LoggedOut,
                pin: PinState::default(),
                mechanisms: Vec::new(),
            };
            if let (true, Ok(token)) = (slot.token_present(), token_info(&pkcs11, id)) {
                listed.initialized = token.token_initialized();
                listed.label = label(&token);
                listed.serial = serial(&token);
                listed.manufacturer = token.manufacturer_id().trim_end().to_owned();
                listed.model = token.model().trim_end().to_owned();
                listed.pin = pin_state(&token);
                listed.login = self.login_state(&described(id, &token), &token);
                let known = self.ways(id)?;
                listed.mechanisms = known.iter().map(Way::describe).collect();
            }
            out.push(listed);
        }
        Ok(out)
    }

    /// The one token that is meant.
    pub(super) fn resolve(&self, selector: &TokenSelector) -> Result<(SlotId, TokenInfo), Failure> {
        let pkcs11 = self.pkcs11()?;
        let mut there = Vec::new();
        let mut failed = None;
        for slot in self.occupied_slots()? {
            match token_info(&pkcs11, slot) {
                Ok(token) => there.push((slot, token)),
                // It was taken out meanwhile, which is not known of the others.
                Err(Error::Pkcs11(RvError::TokenNotPresent, _)) => {}
                Err(e) => failed = Some(Failure::from(e)),
            }
        }
        let mut fitting: Vec<_> = there
            .iter()
            .filter(|(slot, token)| match selector {
                TokenSelector::Slot(id) => slot.id() == *id,
                TokenSelector::Token { label: l, serial: s } => {
                    token.token_initialized()
                        && label(token) == *l
                        && s.as_ref().is_none_or(|s| *s == serial(token))
                }
            })
            .cloned()
            .collect();
        match (fitting.pop(), fitting.is_empty()) {
            (Some(one), true) => Ok(one),
            (Some(_), false) => Err(Failure::new(
                ErrorClass::KeyMissing,
                format!(
                    "more than one token fits; name one by its serial: {}",
                    list(&there)
                ),
            )),
            (None, _) => Err(failed.unwrap_or_else(|| self.absent(selector, &there))),
        }
    }

    pub(super) fn ways(&self, slot: SlotId) -> Result<Vec<Way>, Failure> {
        let list = self.pkcs11()?.get_mechanism_list(slot)?;
        ways(&list, &self.configuration.mechanisms, &self.configuration.name)
    }

    fn absent(&self, selector: &TokenSelector, there: &[(SlotId, TokenInfo)]) -> Failure {
        let there_are = list(there);
        match selector {
            TokenSelector::Slot(id) => Failure::new(
                ErrorClass::KeyMissing,
                format!("there is no token in slot {id}: there is {there_are}"),
            ),
            TokenSelector::Token {
                label: l,
                serial: Some(s),
            } if there.iter().any(|(_, token)| label(token) == *l) => Failure::new(
                ErrorClass::KeyMissing,
                format!(
                    "the token \"{l}\" with the serial {s} is gone, and another has its label: there is {there_are}"
                ),
            ),
            TokenSelector::Token { label: l, .. } => {
                // A restart helps a library that does not look for tokens
                // again, and would take the others from who uses them.
                let others_in_use = !self.anchors().is_empty();
                Failure::Pkcs11 {
                    class: ErrorClass::Module,
                    function: Some("C_GetTokenInfo".to_owned()),
                    ckr: Some("CKR_TOKEN_NOT_PRESENT".to_owned()),
                    detail: format!("there is no token \"{l}\": there is {there_are}"),
                    restart: !others_in_use,
                }
            }
        }
    }
}

pub(super) fn described(slot: SlotId, info: &TokenInfo) -> Token {
    Token {
        slot: slot.id(),
        name: TokenName {
            label: label(info),
            serial: serial(info),
        },
        pin: pin_state(info),
    }
}

pub(super) fn pin_state(info: &TokenInfo) -> PinState {
    PinState {
        initialized: info.user_pin_initialized(),
        count_low: info.user_pin_count_low(),
        final_try: info.user_pin_final_try(),
        locked: info.user_pin_locked(),
        to_be_changed: info.user_pin_to_be_changed(),
    }
}

fn label(info: &TokenInfo) -> String {
    info.label().trim_end().to_owned()
}

fn serial(info: &TokenInfo) -> String {
    info.serial_number().trim_end().to_owned()
}

/// `"stella" (serial 79f0, slot 3), ...`
fn list(tokens: &[(SlotId, TokenInfo)]) -> String {
    let named: Vec<String> = tokens
        .iter()
        .filter(|(_, token)| token.token_initialized())
        .map(|(slot, token)| {
            format!(
                "\"{}\" (serial {}, slot {})",
                label(token),
                serial(token),
                slot.id()
            )
        })
        .collect();
    if named.is_empty() {
        "no initialised token".to_owned()
    } else {
        named.join(", ")
    }
}

/// Writing them takes less than a millisecond, unless the machine is busy.
const BEING_WRITTEN: [Duration; 3] = [
    Duration::from_millis(1),
    Duration::from_millis(5),
    Duration::from_millis(25),
];
