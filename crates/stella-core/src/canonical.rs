//! RFC 8785, the JSON Canonicalization Scheme.

use serde::Serialize;
use serde_json::{Number, Value};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CanonicalError {
    /// RFC 8785 numbers are IEEE 754 doubles; an integer that is none would
    /// be changed in silence.
    #[error("the number {0} has no exact canonical form; write it as a string")]
    Number(String),
    #[error("the value is no JSON: {0}")]
    Shape(String),
}

/// The canonical bytes of anything that serializes to JSON.
pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CanonicalError> {
    let value = serde_json::to_value(value).map_err(|e| CanonicalError::Shape(e.to_string()))?;
    to_canonical(&value)
}

pub fn to_canonical(value: &Value) -> Result<Vec<u8>, CanonicalError> {
    let mut out = Vec::new();
    write(value, &mut out)?;
    Ok(out)
}

fn write(value: &Value, out: &mut Vec<u8>) -> Result<(), CanonicalError> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(n) => out.extend_from_slice(number(n)?.as_bytes()),
        Value::String(s) => string(s, out),
        Value::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write(item, out)?;
            }
            out.push(b']');
        }
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            // RFC 8785 section 3.2.3: by UTF-16 code units, which differs from
            // UTF-8 order above the Basic Multilingual Plane.
            sorted.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            out.push(b'{');
            for (i, (key, item)) in sorted.into_iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                string(key, out);
                out.push(b':');
                write(item, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

/// ECMAScript's number text (RFC 8785 section 3.2.2.3). An integer that it
/// would change is refused.
fn number(n: &Number) -> Result<String, CanonicalError> {
    let refuse = || CanonicalError::Number(n.to_string());
    let f = n.as_f64().filter(|f| f.is_finite()).ok_or_else(refuse)?;
    let written = ryu_js::Buffer::new().format_finite(f).to_owned();
    if n.is_f64() || written == n.to_string() {
        Ok(written)
    } else {
        Err(refuse())
    }
}

/// RFC 8785 section 3.2.2.2.
fn string(s: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for c in s.chars() {
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\u{8}' => out.extend_from_slice(b"\\b"),
            '\t' => out.extend_from_slice(b"\\t"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\u{c}' => out.extend_from_slice(b"\\f"),
            '\r' => out.extend_from_slice(b"\\r"),
            c if c < ' ' => out.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes()),
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;
    use serde_json::json;

    use super::*;
    use crate::vectors;

    #[test]
    fn documents_come_out_as_their_vectors_say() {
        for case in vectors::entries(&vectors::folder("jcs/documents")) {
            let input: Value =
                serde_json::from_slice(&vectors::read(&case.join("input.json"))).expect("JSON");
            let expected = vectors::read(&case.join("expected.json"));
            let canonical = to_canonical(&input).expect("canonical");
            assert_eq!(
                String::from_utf8_lossy(&canonical),
                String::from_utf8_lossy(&expected),
                "{}",
                case.display()
            );
            let again: Value = serde_json::from_slice(&canonical).expect("JSON");
            assert_eq!(to_canonical(&again), Ok(canonical), "{}", case.display());
        }
    }

    #[test]
    fn numbers_come_out_as_appendix_b_says() {
        #[derive(Deserialize)]
        struct Case {
            ieee: String,
            expected: Option<String>,
        }
        let file = vectors::read(&vectors::folder("jcs/numbers.json"));
        let cases: Vec<Case> = serde_json::from_slice(&file).expect("cases");
        assert!(!cases.is_empty());
        for case in cases {
            let double = f64::from_bits(u64::from_str_radix(&case.ieee, 16).expect("hex"));
            // Not-a-number and the infinities have no JSON form at all.
            let written = Number::from_f64(double).map(|n| {
                String::from_utf8(to_canonical(&Value::Number(n)).expect("canonical")).expect("text")
            });
            assert_eq!(written, case.expected, "{}", case.ieee);
        }
    }

    #[test]
    fn an_integer_that_a_double_cannot_hold_is_refused() {
        let most = 1_i64 << 53;
        assert_eq!(
            of(&[most, -most]),
            Ok(b"[9007199254740992,-9007199254740992]".to_vec())
        );
        for beyond in [
            json!(most + 1),
            json!(-most - 1),
            json!(u64::MAX),
            json!(i64::MIN),
        ] {
            assert_eq!(
                to_canonical(&json!([{ "n": beyond }])),
                Err(CanonicalError::Number(beyond.to_string()))
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_survives(text in ".*", key in ".*") {
            let value = json!({ (key): text });
            let canonical = to_canonical(&value).expect("canonical");
            prop_assert_eq!(serde_json::from_slice::<Value>(&canonical).expect("JSON"), value);
        }

        #[test]
        fn any_double_survives(bits in any::<u64>()) {
            let double = f64::from_bits(bits);
            prop_assume!(double.is_finite());
            let canonical = of(&double).expect("canonical");
            let read: f64 = serde_json::from_slice(&canonical).expect("a number");
            prop_assert_eq!(read, double);
        }
    }
}
