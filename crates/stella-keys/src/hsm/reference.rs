//! Which key on which token, as text that stays true for ever: a token is
//! named by its label and serial number, for slot numbers change.
//!
//! Two spellings are read: the product's own
//! (`hsm://pkcs11/token/LABEL?serial=S&object=KEY&id=%0A`) and RFC 7512
//! (`pkcs11:token=LABEL;serial=S;object=KEY;id=%0A`). The first is written.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The name of a module in the configuration (`hsm.modules`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModuleName(String);

impl ModuleName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ModuleName {
    type Err = BadReference;

    fn from_str(s: &str) -> Result<Self, BadReference> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if s.is_empty() || s.len() > MAX_PART || !s.bytes().all(plain) {
            return Err(BadReference::new(
                s,
                "a module's name is letters, digits, . _ and -",
            ));
        }
        Ok(Self(s.to_owned()))
    }
}

impl TryFrom<String> for ModuleName {
    type Error = BadReference;

    fn try_from(s: String) -> Result<Self, BadReference> {
        s.parse()
    }
}

impl From<ModuleName> for String {
    fn from(name: ModuleName) -> Self {
        name.0
    }
}

impl fmt::Display for ModuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Which token of a module.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TokenSelector {
    /// The slot of today. What is made through it is remembered by the label
    /// and serial of the token found in it.
    Slot(u64),
    Token {
        label: String,
        /// Tells the token from another that was given the same label.
        serial: Option<String>,
    },
}

/// Which key, or which token when neither object nor id is given.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyReference {
    /// The first module of the configuration when there is none.
    pub module: Option<ModuleName>,
    pub token: TokenSelector,
    /// `CKA_LABEL`.
    pub object: Option<String>,
    /// `CKA_ID`; tells keys of the same label apart.
    pub id: Option<Vec<u8>>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" names no key in an HSM: {why}")]
pub struct BadReference {
    text: String,
    why: String,
}

impl BadReference {
    fn new(text: &str, why: impl Into<String>) -> Self {
        // What follows may be a PIN, in a URI of another tool.
        let shown = text.split('?').next().unwrap_or_default();
        Self {
            text: shown.chars().take(128).collect(),
            why: why.into(),
        }
    }
}

impl BadReference {
    /// What is wrong, without the text it is wrong with.
    pub fn why(&self) -> &str {
        &self.why
    }
}

impl KeyReference {
    /// The token, without any key in it.
    pub fn token(token: TokenSelector) -> Self {
        Self {
            module: None,
            token,
            object: None,
            id: None,
        }
    }
}

impl FromStr for KeyReference {
    type Err = BadReference;

    fn from_str(s: &str) -> Result<Self, BadReference> {
        let read = if s.len() > MAX_TEXT {
            Err(format!("longer than {MAX_TEXT} bytes"))
        } else if let Some(rest) = s.strip_prefix("hsm://pkcs11/") {
            own(rest)
        } else if let Some(rest) = s.strip_prefix("pkcs11:") {
            rfc7512(rest)
        } else {
            Err("write hsm://pkcs11/token/LABEL, hsm://pkcs11/slot/N or a pkcs11: URI".to_owned())
        };
        read.map_err(|why| BadReference::new(s, why))
    }
}

impl TryFrom<String> for KeyReference {
    type Error = BadReference;

    fn try_from(s: String) -> Result<Self, BadReference> {
        s.parse()
    }
}

impl From<KeyReference> for String {
    fn from(reference: KeyReference) -> Self {
        reference.to_string()
    }
}

impl fmt::Display for KeyReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let serial = match &self.token {
            TokenSelector::Slot(slot) => {
                write!(f, "hsm://pkcs11/slot/{slot}")?;
                None
            }
            TokenSelector::Token { label, serial } => {
                write!(f, "hsm://pkcs11/token/{}", Encoded(label.as_bytes()))?;
                serial.as_deref()
            }
        };
        let module = self.module.as_ref().map(ModuleName::as_str);
        let mut separator = '?';
        for (name, value) in [
            ("module", module),
            ("serial", serial),
            ("object", self.object.as_deref()),
        ] {
            if let Some(value) = value {
                write!(f, "{separator}{name}={}", Encoded(value.as_bytes()))?;
                separator = '&';
            }
        }
        if let Some(id) = &self.id {
            write!(f, "{separator}id=")?;
            for byte in id {
                write!(f, "%{byte:02X}")?;
            }
        }
        Ok(())
    }
}

/// What follows `hsm://pkcs11/`.
fn own(rest: &str) -> Result<KeyReference, String> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut parts = Parts::default();
    for (name, value) in attributes(query, '&')? {
        match name {
            "module" => set(&mut parts.module, name, module(&value)?)?,
            "serial" => set(&mut parts.serial, name, text(name, value)?)?,
            "object" => set(&mut parts.object, name, text(name, value)?)?,
            "id" => set(&mut parts.id, name, id(value)?)?,
            _ => return Err(format!("{name} is not one of module, serial, object, id")),
        }
    }
    match path.split_once('/') {
        Some(("slot", n)) => set(&mut parts.slot, "slot", slot(n)?)?,
        Some(("token", label)) if !label.contains('/') => {
            set(&mut parts.label, "token", text("token", decode(label)?)?)?;
        }
        _ => return Err("after hsm://pkcs11/ comes token/LABEL or slot/N".to_owned()),
    }
    parts.finish()
}

/// What follows `pkcs11:` (RFC 7512 section 2.3). What only narrows the
/// choice of library or model is read over: the configuration names the
/// library, and label and serial the token.
fn rfc7512(rest: &str) -> Result<KeyReference, String> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut parts = Parts::default();
    for (name, value) in attributes(path, ';')? {
        match name {
            "token" => set(&mut parts.label, name, text(name, value)?)?,
            "serial" => set(&mut parts.serial, name, text(name, value)?)?,
            "object" => set(&mut parts.object, name, text(name, value)?)?,
            "id" => set(&mut parts.id, name, id(value)?)?,
            "slot-id" => set(&mut parts.slot, name, slot(&text(name, value)?)?)?,
            "type" if value == b"private" || value == b"public" => {}
            "type" => return Err("type is neither private nor public".to_owned()),
            "manufacturer"
            | "model"
            | "library-manufacturer"
            | "library-description"
            | "library-version"
            | "slot-manufacturer"
            | "slot-description" => {}
            _ => return Err(format!("{name} is not known here")),
        }
    }
    for (name, value) in attributes(query, '&')? {
        match name {
            "module-name" => set(&mut parts.module, name, module(&value)?)?,
            "pin-value" | "pin-source" => {
                return Err("the PIN stands in hsm.modules.NAME.pinFile, never in a URI".to_owned());
            }
            "module-path" => {
                return Err("the library stands in hsm.modules.NAME.libraryPath, never in a URI".to_owned());
            }
            _ => return Err(format!("{name} is not known here")),
        }
    }
    parts.finish()
}

#[derive(Default)]
struct Parts {
    module: Option<ModuleName>,
    slot: Option<u64>,
    label: Option<String>,
    serial: Option<String>,
    object: Option<String>,
    id: Option<Vec<u8>>,
}

impl Parts {
    fn finish(self) -> Result<KeyReference, String> {
        let token = match (self.label, self.slot, self.serial) {
            (Some(label), _, serial) => TokenSelector::Token { label, serial },
            (None, Some(slot), None) => TokenSelector::Slot(slot),
            (None, Some(_), Some(_)) => return Err("a serial goes with a token's label".to_owned()),
            (None, None, _) => return Err("it names no token".to_owned()),
        };
        Ok(KeyReference {
            module: self.module,
            token,
            object: self.object,
            id: self.id,
        })
    }
}

fn set<T>(place: &mut Option<T>, name: &str, value: T) -> Result<(), String> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("{name} is given twice")),
    }
}

fn attributes(text: &str, separator: char) -> Result<Vec<(&str, Vec<u8>)>, String> {
    text.split(separator)
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (name, value) = part
                .split_once('=')
                .ok_or_else(|| format!("{part} has no value"))?;
            Ok((name, decode(value)?))
        })
        .collect()
}

fn module(value: &[u8]) -> Result<ModuleName, String> {
    text("module", value.to_vec())?
        .parse()
        .map_err(|e: BadReference| e.why)
}

fn slot(text: &str) -> Result<u64, String> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("{text} is no slot number"));
    }
    text.parse().map_err(|_| format!("{text} is no slot number"))
}

fn text(name: &str, value: Vec<u8>) -> Result<String, String> {
    let text = String::from_utf8(value).map_err(|_| format!("{name} is not UTF-8"))?;
    if text.is_empty() || text.len() > MAX_PART || text.chars().any(char::is_control) {
        return Err(format!(
            "{name} has 1 to {MAX_PART} bytes and no control characters"
        ));
    }
    Ok(text)
}

fn id(value: Vec<u8>) -> Result<Vec<u8>, String> {
    if value.is_empty() || value.len() > MAX_PART {
        return Err(format!("id has 1 to {MAX_PART} bytes"));
    }
    Ok(value)
}

fn decode(text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte != b'%' {
            out.push(byte);
            rest = after;
            continue;
        }
        let (hex, after) = after
            .split_at_checked(2)
            .ok_or_else(|| format!("{text} breaks off after %"))?;
        let digit = |b: u8| char::from(b).to_digit(16);
        let (Some(high), Some(low)) = (digit(hex[0]), digit(hex[1])) else {
            return Err(format!("{text} has % without two hexadecimal digits"));
        };
        out.push(u8::try_from(high * 16 + low).unwrap_or_default());
        rest = after;
    }
    Ok(out)
}

struct Encoded<'a>(&'a [u8]);

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &byte in self.0 {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
                write!(f, "{}", char::from(byte))?;
            } else {
                write!(f, "%{byte:02X}")?;
            }
        }
        Ok(())
    }
}

/// More than any token's label, serial or object can be.
const MAX_PART: usize = 255;
const MAX_TEXT: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> KeyReference {
        text.parse().expect(text)
    }

    #[test]
    fn the_forms_of_the_documentation_are_read_and_written_back() {
        for text in [
            "hsm://pkcs11/slot/0",
            "hsm://pkcs11/token/stella",
            "hsm://pkcs11/token/prod?object=LABEL&id=%0A",
            "hsm://pkcs11/token/prod?module=backup&serial=79f0a1&object=fips-b&id=%00%FF",
            "hsm://pkcs11/token/a%20token%2Fb?object=%D0%BA",
        ] {
            assert_eq!(read(text).to_string(), text);
        }
    }

    #[test]
    fn what_other_tools_print_is_the_same_key() {
        let uri = "pkcs11:model=SoftHSM%20v2;manufacturer=SoftHSM%20project;serial=79f0;token=prod;id=%0A;object=LABEL;type=private";
        assert_eq!(
            read(uri).to_string(),
            "hsm://pkcs11/token/prod?serial=79f0&object=LABEL&id=%0A"
        );
        assert_eq!(
            read("pkcs11:token=prod?module-name=backup").to_string(),
            "hsm://pkcs11/token/prod?module=backup"
        );
        assert_eq!(read("pkcs11:slot-id=7").to_string(), "hsm://pkcs11/slot/7");
    }

    #[test]
    fn secrets_libraries_and_slips_are_refused_by_name() {
        for (text, why) in [
            ("pkcs11:token=a?pin-value=1234", "pinFile"),
            ("pkcs11:token=a?module-path=/tmp/x.so", "libraryPath"),
            ("pkcs11:object=key", "names no token"),
            ("pkcs11:token=a;type=cert", "type"),
            ("hsm://pkcs11/token/a?pin-value=1", "pin-value is not one of"),
            ("hsm://pkcs11/token/a?id=", "id has 1 to"),
            ("hsm://pkcs11/token/a?object=x&object=y", "object is given twice"),
            ("hsm://pkcs11/token/a?id=%0", "breaks off"),
            ("hsm://pkcs11/token/a?id=%0g", "hexadecimal"),
            ("hsm://pkcs11/token/", "token has 1 to"),
            ("hsm://pkcs11/slot/-1", "no slot number"),
            ("hsm://pkcs11/slot/1?serial=2", "a serial goes with"),
            ("hsm://pkcs11/token/a?module=../x", "a module's name"),
            ("hsm://local/a", "write hsm://pkcs11/token/LABEL"),
        ] {
            let error = text.parse::<KeyReference>().expect_err(text).to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    fn words() -> impl Strategy<Value = String> {
        "[^\\p{Cc}]{1,24}"
    }

    proptest! {
        #[test]
        fn every_reference_is_read_as_it_was_written(
            module in proptest::option::of("[a-z0-9._-]{1,12}"),
            slot in any::<u64>(),
            label in proptest::option::of(words()),
            serial in proptest::option::of(words()),
            object in proptest::option::of(words()),
            id in proptest::option::of(proptest::collection::vec(any::<u8>(), 1..20)),
        ) {
            let token = match label {
                Some(label) => TokenSelector::Token { label, serial },
                None => TokenSelector::Slot(slot),
            };
            let module = module.map(|name| name.parse().expect("name"));
            let reference = KeyReference { module, token, object, id };
            let text = reference.to_string();
            prop_assert_eq!(text.parse::<KeyReference>(), Ok(reference));
        }

        #[test]
        fn no_text_makes_it_fall(text in "(hsm://pkcs11/(token/|slot/)?|pkcs11:)?[a-z0-9%=&;?/ -]{0,40}") {
            if let Ok(reference) = text.parse::<KeyReference>() {
                prop_assert_eq!(read(&reference.to_string()), reference);
            }
        }
    }
}
