use proptest::prelude::*;

use super::*;
use crate::json::members::tests::{Doc, LIMITS, piece};
use crate::json::{check, members};

fn takes(text: &str) -> bool {
    read(text, &LIMITS, &mut Doc::new()).is_ok()
}

#[test]
fn what_is_plain_is_taken() {
    let many = (0..20)
        .map(|n| format!("\"{n}\":{n}"))
        .collect::<Vec<_>>()
        .join(",");
    for text in [
        "{}",
        " { \"name\" : null , \"tags\" : { } , \"items\" : [ ] }\n",
        r#"{"x":[0,-1,1.50,true,false,null,"",[[]]],"name":"é"}"#,
        r#"{"x":"\"\\\/\b\f\n\r\t\u00e9\uffff","items":[{"id":"1"},{"y":{}}],"tags":{"a":"b"}}"#,
        &format!("{{\"x\":{{{many}}}}}"),
    ] {
        assert!(takes(text), "{text}");
    }
}

#[test]
fn what_is_not_plain_or_not_allowed_is_left() {
    let many = (0..20)
        .map(|n| format!("\"{n}\":{n}"))
        .collect::<Vec<_>>()
        .join(",");
    for text in [
        "",
        "[]",
        "{} {}",
        "{\"a\":1,}",
        "{,\"a\":1}",
        "{\"a\" 1}",
        "{\"a\":[1 2]}",
        "{\"a\":[1,]}",
        r#"{"name":"a\n"}"#,
        r#"{"\u0061":1}"#,
        r#"{"a":1,"a":2}"#,
        r#"{"longer than a word":1,"longer than a word":2}"#,
        r#"{"x":{"a":{},"b":1,"a":1}}"#,
        r#"{"tags":{"a":"b","a":"c"}}"#,
        r#"{"Name":"a"}"#,
        r#"{"name":1}"#,
        r#"{"items":[{},{},{}]}"#,
        r#"{"a":[[[[]]]]}"#,
        r#"{"a":{"b":{"c":{"d":{}}}}}"#,
        r#"{"a":01}"#,
        r#"{"a":-}"#,
        r#"{"a":1.}"#,
        r#"{"a":1e5}"#,
        r#"{"a":+1}"#,
        r#"{"a":truE}"#,
        r#"{"a":"\x"}"#,
        r#"{"a":"\u12g4"}"#,
        r#"{"a":"\ud800"}"#,
        "{\"a\":\"\u{1f}\"}",
        "{\"a\":\"",
        &format!("{{\"x\":{{{many},\"19\":0}}}}"),
        &format!("{{\"a\":{}}}", "1".repeat(101)),
    ] {
        assert!(!takes(text), "{text}");
    }
}

#[test]
fn a_text_ends_where_it_does_whatever_its_length() {
    for length in 0..200 {
        let plain_text = "ab !\u{e9}#".repeat(30);
        let bytes = &plain_text.as_bytes()[..length];
        for end in 0..=u8::MAX {
            let text = [bytes, &[end], b"rest of it, long enough to be read by words"].concat();
            let found = plain(&text, 0);
            assert_eq!(found == length, is_telling(end), "{length} {end}");
        }
    }
}

#[test]
fn keys_that_begin_alike_are_told_apart() {
    let document = br#"{"componenta":1,"componentb":2,"component":3,"comp":4,"":5}"#;
    let text = std::str::from_utf8(document).expect("text");
    assert!(takes(text));
    assert!(!takes(&text.replace("componentb", "componenta")));
    assert!(!takes(&text.replace("\"comp\"", "\"component\"")));
    // Wherever they stand: the last ones have less than a word behind them.
    for key in ["", "a", "abcdefg", "abcdefgh", "abcdefghi"] {
        for after in ["", " ", "  ", "          "] {
            assert!(
                !takes(&format!("{{\"{key}\":1,\"b\":{{}},\"{key}\":2{after}}}")),
                "{key}"
            );
        }
    }
}

/// Nothing but plain values, in objects whose keys are often the same.
fn plain_json() -> impl Strategy<Value = String> {
    let leaf = proptest::sample::select(vec!["0", "\"x\"", "null", "[]", "{}", "\" \""]);
    leaf.prop_map(str::to_owned).prop_recursive(5, 60, 20, |inner| {
        let key = proptest::sample::select(vec![
            "",
            "a",
            "b",
            "ab",
            "abcdefg",
            "abcdefgh",
            "abcdefghi",
            "abcdefghj",
            "é",
            "id",
            "tag",
        ]);
        let array = proptest::collection::vec(inner.clone(), 0..4);
        let object = proptest::collection::vec((key, inner), 0..4);
        prop_oneof![
            array.prop_map(|items| format!("[{}]", items.join(","))),
            object.prop_map(|members| {
                let members = members.iter().map(|(key, value)| format!("\"{key}\":{value}"));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

proptest! {
    /// Of what is plain no more and no less than the check takes.
    #[test]
    fn plain_documents_are_taken_as_the_check_takes_them(value in plain_json(), padding in " {0,9}") {
        let limits = JsonLimits { max_bytes: 1 << 20, max_depth: 5 };
        let text = format!("{{\"x\":{value}{padding}}}");
        let taken = read(&text, &limits, &mut Doc::new()).is_ok();
        prop_assert_eq!(taken, check(text.as_bytes(), &limits).is_ok(), "{}", text);
    }

    /// What is taken is what the other reader takes, and read as it reads it.
    #[test]
    fn nothing_is_taken_that_the_other_reader_refuses_or_reads_otherwise(
        pieces in proptest::collection::vec(piece(), 0..8),
        between in proptest::sample::select(vec!["", ",", " , "]),
    ) {
        let inner = pieces.join(between);
        for text in [inner.clone(), format!("{{{inner}}}")] {
            let (mut quick, mut other) = (Doc::new(), Doc::new());
            if read(&text, &LIMITS, &mut quick).is_ok() {
                prop_assert!(check(text.as_bytes(), &LIMITS).is_ok(), "{}", text);
                prop_assert!(members::read(&text, &LIMITS, &mut other).is_ok(), "{}", text);
                prop_assert_eq!(quick, other, "{}", text);
            }
        }
    }

    #[test]
    fn a_number_is_taken_only_where_it_is_one(number in "-?[0-9]{0,4}\\.?[0-9]{0,3}") {
        let text = format!("{{\"x\":{number}}}");
        let other = members::read(&text, &LIMITS, &mut Doc::new()).is_ok();
        prop_assert_eq!(takes(&text), other, "{}", text);
    }
}
