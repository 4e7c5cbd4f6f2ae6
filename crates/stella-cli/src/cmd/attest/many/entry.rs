//! One entry of many: a whole statement, or the parts of one.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use stella_core::api::attestations::{CreateAttestation, SubjectInput};
use stella_core::json::Object;

use crate::args::predicate_type;
use crate::args::subject::Subject;
use crate::error::CliError;

/// What an entry that does not say it itself gets.
#[derive(Debug, Clone, Default)]
pub struct Defaults {
    pub predicate_type: Option<String>,
    pub profiles: Vec<String>,
    pub force: bool,
}

#[derive(Deserialize)]
struct Shape {
    /// in-toto's mark of a statement.
    #[serde(rename = "_type", default)]
    statement: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Parts<'a> {
    #[serde(rename = "type", alias = "predicateType", default)]
    kind: Option<String>,
    #[serde(default)]
    subject: Option<SubjectForm>,
    #[serde(default)]
    subjects: Vec<SubjectForm>,
    #[serde(borrow, default)]
    predicate: Option<&'a RawValue>,
    #[serde(default)]
    profile: Option<String>,
    #[serde(default)]
    profiles: Vec<String>,
    /// Base64 of a whole statement's bytes.
    #[serde(borrow, default)]
    statement: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum SubjectForm {
    /// As after `--subject`.
    Text(String),
    Whole(SubjectInput),
}

impl Defaults {
    pub fn request(&self, bytes: &[u8]) -> Result<CreateAttestation, CliError> {
        let refused = |e: serde_json::Error| {
            CliError::usage(format!("the entry cannot be read: {e}")).next(
                "write {\"type\": ..., \"subject\": ..., \"predicate\": {...}}, or an in-toto statement",
            )
        };
        let Object(shape): Object<Shape> = serde_json::from_slice(bytes).map_err(refused)?;
        if shape.statement.is_some() {
            return Ok(self.whole(STANDARD.encode(bytes)));
        }
        let Object(parts): Object<Parts<'_>> = serde_json::from_slice(bytes).map_err(refused)?;
        let profiles: Vec<String> = parts.profile.into_iter().chain(parts.profiles).collect();
        let own = Self {
            profiles: if profiles.is_empty() {
                self.profiles.clone()
            } else {
                profiles
            },
            ..self.clone()
        };
        let subjects: Vec<SubjectForm> = parts.subject.into_iter().chain(parts.subjects).collect();
        if let Some(statement) = parts.statement {
            if parts.kind.is_some() || !subjects.is_empty() || parts.predicate.is_some() {
                return Err(CliError::usage(
                    "give either a whole statement or its parts, not both",
                ));
            }
            return Ok(own.whole(statement.into_owned()));
        }
        let kind = match parts.kind {
            Some(kind) => Some(predicate_type(&kind).map_err(CliError::usage)?),
            None => self.predicate_type.clone(),
        };
        let subjects = subjects.into_iter().map(subject).collect::<Result<_, _>>()?;
        Ok(CreateAttestation {
            statement: None,
            predicate_type: kind,
            subjects,
            predicate: parts.predicate.map(|raw| raw.get().to_owned()),
            profiles: own.profiles,
            force: Some(own.force),
        })
    }

    fn whole(&self, statement: String) -> CreateAttestation {
        CreateAttestation {
            statement: Some(statement),
            predicate_type: None,
            subjects: Vec::new(),
            predicate: None,
            profiles: self.profiles.clone(),
            force: Some(self.force),
        }
    }
}

fn subject(form: SubjectForm) -> Result<SubjectInput, CliError> {
    match form {
        SubjectForm::Whole(subject) => Ok(subject),
        SubjectForm::Text(text) => Subject::parse(&text)?.resolve(None, false),
    }
}

/// The entry on one line, so that it can be given again: a statement keeps
/// its very bytes, and no JSON string holds a line's end.
pub fn on_one_line(bytes: &[u8]) -> Vec<u8> {
    let whole =
        serde_json::from_slice::<Object<Shape>>(bytes).is_ok_and(|Object(shape)| shape.statement.is_some());
    if whole && bytes.contains(&b'\n') {
        return format!("{{\"statement\":\"{}\"}}", STANDARD.encode(bytes)).into_bytes();
    }
    let blank = |b: &u8| if matches!(b, b'\n' | b'\r') { b' ' } else { *b };
    bytes.iter().map(blank).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn defaults() -> Defaults {
        Defaults {
            predicate_type: Some("cyclonedx".to_owned()),
            profiles: vec!["default".to_owned()],
            force: false,
        }
    }

    fn request(text: &str) -> CreateAttestation {
        defaults()
            .request(text.as_bytes())
            .unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn parts_are_taken_as_the_flags_are_and_the_predicate_verbatim() {
        let text = format!(r#"{{"subject":"pkg:npm/a@1@sha256:{HEX}","predicate":{{"b" : 1.50}}}}"#);
        let read = request(&text);
        assert_eq!(read.predicate.as_deref(), Some(r#"{"b" : 1.50}"#));
        assert_eq!(read.subjects[0].name.as_deref(), Some("pkg:npm/a@1"));
        assert_eq!(read.profiles, ["default"]);
        assert!(read.predicate_type.is_some());
        let own = request(&format!(
            r#"{{"type":"openvex","subjects":[{{"digest":{{"sha256":"{HEX}"}}}}],"profile":"pqc","predicate":1}}"#
        ));
        assert_eq!(own.profiles, ["pqc"]);
        assert_ne!(own.predicate_type, read.predicate_type);
    }

    #[test]
    fn a_statement_keeps_its_bytes_also_when_it_is_given_again() {
        let text = "{ \"_type\":\"https://in-toto.io/Statement/v1\",\n \"x\": 1 }\n";
        let read = request(text);
        assert_eq!(read.statement, Some(STANDARD.encode(text)));
        let again = on_one_line(text.as_bytes());
        assert!(!again.contains(&b'\n'));
        assert_eq!(request(std::str::from_utf8(&again).expect("text")), read);
        let parts = "{\"subject\":\"test:a\",\r\n\"predicate\":{\n}}";
        let again = on_one_line(parts.as_bytes());
        assert_eq!(
            request(std::str::from_utf8(&again).expect("text")).subjects,
            request(parts).subjects
        );
    }

    #[test]
    fn what_is_no_entry_says_how_to_write_one() {
        for bad in [
            "",
            "[]",
            "{\"typo\":1}",
            "{\"subject\":\"nothing\"}",
            "{\"type\":\"a\",\"type\":\"b\"}",
        ] {
            assert!(defaults().request(bad.as_bytes()).is_err(), "{bad}");
        }
        let both = format!(r#"{{"statement":"e30=","subject":"sha256:{HEX}"}}"#);
        assert!(defaults().request(both.as_bytes()).is_err());
    }
}
