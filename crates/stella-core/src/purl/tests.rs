//! The purl-spec suite, the project's own vectors, and the properties that
//! anchors rest on.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::path::Path;

use proptest::prelude::*;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::types::Fold;
use super::*;
use crate::vectors;

fn read<T: DeserializeOwned>(path: &Path) -> T {
    serde_json::from_slice(&vectors::read(path)).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn name(s: &str) -> SubjectName {
    SubjectName::parse(s).unwrap_or_else(|e| panic!("{s}: {e}"))
}

fn pattern(s: &str) -> PurlPattern {
    s.parse().unwrap_or_else(|e| panic!("{s}: {e}"))
}

// ---- purl-spec ----

#[derive(Deserialize)]
struct SpecFile {
    tests: Vec<SpecCase>,
}

#[derive(Deserialize)]
struct SpecCase {
    description: String,
    test_type: String,
    input: Value,
    expected_output: Option<Value>,
    expected_failure: bool,
}

#[derive(Deserialize)]
struct Contradiction {
    test_type: String,
    input: Value,
    reason: String,
}

fn component<'a>(of: &'a Value, key: &str) -> Option<&'a str> {
    of[key].as_str().filter(|text| !text.is_empty())
}

fn build(of: &Value) -> Result<Purl, PurlError> {
    let qualifiers = of["qualifiers"].as_object().into_iter().flatten();
    Purl::build(
        component(of, "type").unwrap_or_default(),
        component(of, "namespace"),
        component(of, "name").unwrap_or_default(),
        component(of, "version"),
        qualifiers.map(|(key, value)| (key.as_str(), value.as_str().unwrap_or_default())),
        component(of, "subpath"),
    )
}

fn has_components(purl: &Purl, expected: &Value) -> bool {
    let qualifiers: BTreeMap<String, String> = expected["qualifiers"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect();
    Some(purl.ty()) == component(expected, "type")
        && purl.namespace() == component(expected, "namespace")
        && Some(purl.name()) == component(expected, "name")
        && purl.version() == component(expected, "version")
        && *purl.qualifiers() == qualifiers
        && purl.subpath() == component(expected, "subpath")
}

fn spec_case_fault(case: &SpecCase) -> Option<String> {
    let outcome = match case.test_type.as_str() {
        "build" => build(&case.input),
        "parse" | "validate" => case.input.as_str().unwrap_or_default().parse(),
        other => panic!("unknown kind of case {other}"),
    };
    let expected = case.expected_output.as_ref().unwrap_or(&Value::Null);
    let good = match &outcome {
        Err(_) => case.expected_failure,
        Ok(_) if case.expected_failure => false,
        Ok(purl) if case.test_type == "parse" => has_components(purl, expected),
        Ok(purl) => expected.as_str() == Some(purl.as_str()),
    };
    (!good).then(|| {
        let SpecCase {
            description,
            test_type,
            input,
            ..
        } = case;
        format!("{test_type} {input}: {outcome:?}, not {expected} ({description})")
    })
}

#[test]
fn the_purl_spec_suite_holds() {
    let Some(vectors) = std::env::var_os("STELLA_VECTORS").filter(|path| !path.is_empty()) else {
        eprintln!("skipped: STELLA_VECTORS is not set");
        return;
    };
    let tests = Path::new(&vectors).join("purl-spec/tests");
    let contradictions: Vec<Contradiction> =
        read(&vectors::folder("purl").join("purl-spec-contradictions.json"));
    let mut unused: Vec<&Contradiction> = contradictions.iter().collect();
    let (mut passed, mut set_aside, mut faults) = (0, 0, Vec::new());
    for folder in ["spec", "types"] {
        for entry in fs::read_dir(tests.join(folder)).expect("the suite's folder") {
            for case in read::<SpecFile>(&entry.expect("an entry").path()).tests {
                let Some(fault) = spec_case_fault(&case) else {
                    passed += 1;
                    continue;
                };
                let known = |c: &Contradiction| c.test_type == case.test_type && c.input == case.input;
                if contradictions.iter().any(known) {
                    unused.retain(|c| !known(c));
                    set_aside += 1;
                } else {
                    faults.push(fault);
                }
            }
        }
    }
    eprintln!("purl-spec: {passed} passed, {set_aside} set aside");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let stale: Vec<&str> = unused.iter().map(|c| c.reason.as_str()).collect();
    assert!(stale.is_empty(), "these hold now: {stale:?}");
    assert!(passed > 500, "the suite has {passed} cases");
}

// ---- the project's own vectors ----

#[derive(Deserialize)]
struct Names {
    canonical: BTreeMap<String, String>,
    refused: BTreeMap<String, String>,
}

#[test]
fn names_have_one_spelling_or_are_refused() {
    let names: Names = read(&vectors::folder("purl").join("names.json"));
    for (text, canonical) in &names.canonical {
        assert_eq!(name(text).to_string(), *canonical, "{text}");
        assert_eq!(name(canonical).to_string(), *canonical);
    }
    for (text, error) in &names.refused {
        let outcome = SubjectName::parse(text).map_err(|e| e.to_string());
        assert_eq!(outcome, Err(error.clone()), "{text}");
    }
}

#[derive(Deserialize)]
struct Patterns {
    patterns: Vec<PatternCase>,
    refused: BTreeMap<String, String>,
    winners: Vec<WinnerCase>,
}

#[derive(Deserialize)]
struct PatternCase {
    pattern: String,
    canonical: String,
    matches: Vec<String>,
    misses: Vec<String>,
}

/// Patterns from the loosest to the winner, all of which match the name.
#[derive(Deserialize)]
struct WinnerCase {
    name: String,
    ascending: Vec<String>,
}

#[test]
fn patterns_match_what_they_say() {
    let file: Patterns = read(&vectors::folder("purl").join("patterns.json"));
    for case in &file.patterns {
        let p = pattern(&case.pattern);
        assert_eq!(p.to_string(), case.canonical);
        assert_eq!(p.is_universal(), case.canonical == "*");
        for hit in &case.matches {
            assert!(p.matches(&name(hit)), "{p} must match {hit}");
        }
        for miss in &case.misses {
            assert!(!p.matches(&name(miss)), "{p} must not match {miss}");
        }
    }
    for (text, error) in &file.refused {
        let outcome = text.parse::<PurlPattern>().map_err(|e| e.to_string());
        assert_eq!(outcome, Err(error.clone()), "{text}");
    }
}

#[test]
fn the_narrowest_pattern_wins_alone() {
    let file: Patterns = read(&vectors::folder("purl").join("patterns.json"));
    for case in &file.winners {
        let subject = name(&case.name);
        let patterns: Vec<PurlPattern> = case.ascending.iter().map(|s| pattern(s)).collect();
        for pair in patterns.windows(2) {
            assert!(
                pair[0].specificity() < pair[1].specificity(),
                "{} < {}",
                pair[0],
                pair[1]
            );
        }
        assert!(patterns.iter().all(|p| p.matches(&subject)), "{}", case.name);
        let twice = patterns.iter().chain(&patterns).zip(0..);
        let last = patterns.len() - 1;
        assert_eq!(most_specific(twice, &subject), [last, last + patterns.len()]);
    }
}

#[test]
fn a_name_is_shown_ordered_and_hashed_as_its_canonical_text() {
    let parsed = |text: &str| -> Purl { text.parse().expect(text) };
    let a = parsed("PKG:NPM/%61");
    assert_eq!(format!("{a}|{a:>11}|{a:?}"), "pkg:npm/a|  pkg:npm/a|pkg:npm/a");
    let plain = name("a");
    assert_eq!(format!("{plain}|{plain:>3}"), "a|  a");
    let all = pattern("PKG:npm/*");
    assert_eq!(format!("{all:>10}|{all:?}"), " pkg:npm/*|\"pkg:npm/*\"");
    let mut names = [parsed("pkg:pypi/a"), parsed("pkg:npm/b"), a.clone()];
    names.sort();
    assert_eq!(
        names.map(|n| n.to_string()),
        ["pkg:npm/a", "pkg:npm/b", "pkg:pypi/a"]
    );
    assert!(a < parsed("pkg:npm/b") && a != parsed("pkg:npm/b"));
    let hash = |purl: &Purl| BuildHasherDefault::<DefaultHasher>::default().hash_one(purl);
    assert_eq!(hash(&a), hash(&parsed("pkg:npm/a")));
    assert_ne!(hash(&a), hash(&parsed("pkg:npm/b")));
}

#[test]
fn no_pattern_no_winner() {
    let npm = pattern("pkg:npm/*");
    assert!(most_specific([(&npm, ())].into_iter(), &name("test:a")).is_empty());
}

#[test]
fn length_is_bounded_before_and_after_encoding() {
    let fits = format!("pkg:npm/{}", "a".repeat(MAX_LENGTH - 8));
    assert!(fits.parse::<Purl>().is_ok());
    assert!(matches!(
        format!("{fits}a").parse::<Purl>(),
        Err(PurlError::TooLong(_))
    ));
    let grows = format!("pkg:npm/{}", "+".repeat(MAX_LENGTH / 2));
    assert!(matches!(grows.parse::<Purl>(), Err(PurlError::TooLong(_))));
    assert!(SubjectName::parse(&"a".repeat(MAX_LENGTH + 1)).is_err());
    assert!("a".repeat(MAX_LENGTH + 1).parse::<PurlPattern>().is_err());
}

#[test]
fn names_and_patterns_are_strings_in_json() {
    let json = "\"pkg:npm/%40acme/*\"";
    let read: PurlPattern = serde_json::from_str("\"pkg:npm/@acme/*\"").expect("a pattern");
    assert_eq!(serde_json::to_string(&read).expect("json"), json);
    assert!(serde_json::from_str::<Purl>("\"pkg:npm\"").is_err());
}

// ---- another reader ----

/// purl-spec's "How to parse a PURL" step by step and nothing more: namespace,
/// name, version, qualifiers, subpath, where they are percent-encoded UTF-8.
type Read = (
    String,
    String,
    Option<String>,
    BTreeMap<String, String>,
    Option<String>,
);

fn read_by_the_steps(text: &str) -> Option<Read> {
    let decoded = |text: &str| text::decode(text).ok();
    let segments = |text: &str, dots: bool| -> Option<String> {
        let kept = text
            .split('/')
            .filter(|s| !s.is_empty() && (dots || !["", ".", ".."].contains(s)));
        Some(kept.map(decoded).collect::<Option<Vec<_>>>()?.join("/"))
    };
    let some = |text: String| (!text.is_empty()).then_some(text);
    let (rest, subpath) = text.rsplit_once('#').unwrap_or((text, ""));
    let (rest, query) = rest.rsplit_once('?').unwrap_or((rest, ""));
    let mut qualifiers = BTreeMap::new();
    for pair in query.split('&').filter(|p| !p.is_empty()) {
        let (key, value) = pair.split_once('=')?;
        let value = decoded(value)?;
        if !value.is_empty() {
            qualifiers.insert(key.to_ascii_lowercase(), value);
        }
    }
    let (_, rest) = rest.split_once(':')?;
    let (_, rest) = rest.trim_matches('/').split_once('/')?;
    let (rest, version) = rest.rsplit_once('@').unwrap_or((rest, ""));
    let rest = rest.trim_matches('/');
    let (namespace, name) = rest.rsplit_once('/').unwrap_or(("", rest));
    let name = some(decoded(name)?)?;
    Some((
        segments(namespace, true)?,
        name,
        some(decoded(version)?),
        qualifiers,
        some(segments(subpath, false)?),
    ))
}

// ---- properties ----

/// Small alphabets, so that names and patterns meet often.
fn any_purl() -> impl Strategy<Value = Purl> {
    let ty = prop::sample::select(vec![
        "npm",
        "pypi",
        "docker",
        "maven",
        "oci",
        "git",
        "mlflow",
        "rpm",
        "pub",
        "cpan",
        "huggingface",
        "x",
    ]);
    let segment = "[aAB_.@/%+*:é\u{130}Σ-]{0,4}";
    let qualifier = (
        prop::sample::select(vec!["arch", "os", "repository_url", "vcs_url"]),
        "[aA./%*&=?#]{0,4}",
    );
    (
        ty,
        prop::option::of("[aAg.@/é]{1,5}"),
        segment,
        prop::option::of("[aA1./@:+*]{0,4}"),
        prop::collection::btree_map(qualifier.0, qualifier.1, 0..3),
        prop::option::of("[aA./?]{0,4}"),
    )
        .prop_filter_map("not a PURL", |(ty, ns, name, version, qualifiers, subpath)| {
            let qualifiers = qualifiers.iter().map(|(k, v)| (*k, v.as_str()));
            Purl::build(
                ty,
                ns.as_deref(),
                &name,
                version.as_deref(),
                qualifiers,
                subpath.as_deref(),
            )
            .ok()
        })
}

/// Every pattern that comes of cutting a PURL's parts short or leaving them out.
fn pattern_of(purl: &Purl, cuts: &[Option<usize>; 5]) -> Option<PurlPattern> {
    let cut = |part: &str, cut: Option<usize>| match cut {
        Some(at) if part.is_char_boundary(at) => format!("{}*", &part[..at]),
        _ => part.to_owned(),
    };
    let mut text = cut(purl.path_text(), cuts[0].map(|at| at + 4 + purl.ty().len() + 1));
    if let (Some(version), false) = (purl.version_text(), text.ends_with('*') || cuts[1] == Some(0)) {
        text = format!("{text}@{}", cut(version, cuts[1]));
    }
    let mut separator = '?';
    for ((key, value), how) in purl.qualifiers().iter().zip(&cuts[2..]) {
        if *how == Some(0) && !ORIGIN_QUALIFIERS.contains(&key.as_str()) {
            continue;
        }
        text = format!("{text}{separator}{key}={}", cut(&encode(value), *how));
        separator = '&';
    }
    text.parse().ok()
}

fn any_cuts() -> impl Strategy<Value = [Option<usize>; 5]> {
    prop::array::uniform5(prop::option::of(0..6_usize))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    /// Why a prefix may be canonicalised without knowing how the name goes on.
    #[test]
    fn folds_keep_prefixes_and_settle_at_once(start in "[aAΣİß_.-]{0,4}", rest in "[aAΣİß_.-]{0,4}|\\PC{0,6}") {
        for fold in [Fold::Keep, Fold::Lower, Fold::Upper, Fold::LowerDash, Fold::LowerUnderscore] {
            let whole = fold.apply(&format!("{start}{rest}"));
            prop_assert!(whole.starts_with(&fold.apply(&start)));
            prop_assert_eq!(fold.apply(&whole), whole);
        }
    }

    #[test]
    fn canonical_text_reads_back_as_itself(purl in any_purl()) {
        let again: Purl = purl.as_str().parse().expect("canonical text");
        prop_assert_eq!(again.as_str(), purl.as_str());
        prop_assert_eq!(again.namespace(), purl.namespace());
        prop_assert_eq!(again.name(), purl.name());
        prop_assert_eq!(again.version(), purl.version());
        prop_assert_eq!(again.qualifiers(), purl.qualifiers());
        prop_assert_eq!(again.subpath(), purl.subpath());
        let rebuilt = Purl::build(
            purl.ty(), purl.namespace(), purl.name(), purl.version(),
            purl.qualifiers().iter().map(|(k, v)| (k.as_str(), v.as_str())), purl.subpath(),
        );
        prop_assert_eq!(rebuilt, Ok(purl));
    }

    #[test]
    fn a_purl_is_a_pattern_of_itself(purl in any_purl()) {
        let made = PurlPattern::from(&purl);
        prop_assert_eq!(&made, &pattern(purl.as_str()));
        prop_assert!(made.matches(&SubjectName::Purl(purl)));
    }

    /// A prefix is canonicalised to a prefix: cutting a name short never loses it.
    #[test]
    fn a_pattern_cut_from_a_name_matches_it(purl in any_purl(), cuts in any_cuts()) {
        if let Some(made) = pattern_of(&purl, &cuts) {
            prop_assert_eq!(&pattern(made.as_str()), &made);
            let climbing = made.as_str().contains('*')
                && purl.qualifiers().iter().any(|(_, value)| value.contains('.'));
            prop_assert!(climbing || made.matches(&SubjectName::Purl(purl)), "{}", made);
        }
    }

    /// What makes one winner: of the patterns that match a name, no two
    /// different ones are equally specific.
    #[test]
    fn different_patterns_never_tie(
        purl in any_purl(),
        cuts in prop::collection::vec(any_cuts(), 2..12),
    ) {
        let subject = SubjectName::Purl(purl.clone());
        let mut patterns: Vec<PurlPattern> = cuts.iter().filter_map(|c| pattern_of(&purl, c)).collect();
        patterns.push(pattern("*"));
        patterns.push(pattern("pkg:*"));
        patterns.retain(|p| p.matches(&subject));
        for a in &patterns {
            for b in &patterns {
                prop_assert_eq!(a == b, a.specificity() == b.specificity(), "{} {}", a, b);
            }
        }
        let winners = most_specific(patterns.iter().map(|p| (p, p)), &subject);
        prop_assert!(!winners.is_empty() && winners.iter().all(|w| w == &winners[0]));
        prop_assert!(patterns.iter().all(|p| p.specificity() <= winners[0].specificity()));
    }

    /// The index leaves out nothing that matches; of the name itself, and of
    /// another, most patterns are none.
    #[test]
    fn the_index_finds_all_that_match(
        purl in any_purl(),
        other in any_purl(),
        cuts in prop::collection::vec(any_cuts(), 2..12),
        plain in prop::collection::vec("[ab]{0,3}[*]?", 0..6),
        text in "[ab]{1,4}",
    ) {
        let of = |purl: &Purl| cuts.iter().filter_map(|c| pattern_of(purl, c)).collect::<Vec<_>>();
        let mut patterns = [of(&purl), of(&other)].concat();
        patterns.extend(plain.iter().filter_map(|p| p.parse().ok()));
        patterns.push(pattern("pkg:*"));
        let mut index = PatternIndex::default();
        for (n, pattern) in patterns.iter().enumerate() {
            index.insert(pattern, n);
        }
        for name in [SubjectName::Purl(purl), SubjectName::Purl(other), name(&text)] {
            let matching = |n: &usize| patterns[*n].matches(&name);
            let all: Vec<usize> = (0..patterns.len()).filter(matching).collect();
            let found: Vec<usize> = index.candidates(&name).into_iter().filter(matching).collect();
            prop_assert_eq!(found, all, "{}", name);
        }
    }

    /// Without qualifiers the patterns form a tree: whichever of two that match
    /// one name is narrower matches nothing that the other does not.
    #[test]
    fn patterns_form_a_tree(
        purl in any_purl(),
        other in any_purl(),
        cuts in prop::array::uniform2((prop::option::of(0..6_usize), prop::option::of(0..6_usize))),
    ) {
        let bare = |p: &Purl| {
            Purl::build(p.ty(), p.namespace(), p.name(), p.version(), [], None).ok()
        };
        let (Some(purl), Some(other)) = (bare(&purl), bare(&other)) else { return Ok(()) };
        let of = |(path, version)| pattern_of(&purl, &[path, version, None, None, None]);
        let (Some(a), Some(b)) = (of(cuts[0]), of(cuts[1])) else { return Ok(()) };
        let (narrow, wide) = if a.specificity() > b.specificity() { (a, b) } else { (b, a) };
        let (purl, other) = (SubjectName::Purl(purl), SubjectName::Purl(other));
        prop_assert!(narrow.matches(&purl) && wide.matches(&purl));
        prop_assert!(!narrow.matches(&other) || wide.matches(&other), "{} in {}: {}", narrow, wide, other);
    }

    #[test]
    fn arbitrary_text_never_panics_and_settles_at_once(text in ".{0,40}") {
        for text in [text.clone(), format!("pkg:{text}"), format!("pkg:npm/{text}"), format!("pkg:git/{text}*")] {
            if let Ok(parsed) = SubjectName::parse(&text) {
                prop_assert_eq!(name(parsed.as_str()), parsed);
            }
            if let Ok(parsed) = text.parse::<PurlPattern>() {
                prop_assert_eq!(&pattern(parsed.as_str()), &parsed);
            }
        }
    }

    #[test]
    fn who_follows_the_specification_reads_the_same(
        tokens in prop::collection::vec(prop::sample::select(vec![
            "a", "b", "/", "/", "@", "?", "=", "&", "#", ".", "..", "%2e", "%2F", "%40", "%25", "+", ":", "k=", "K=v",
        ]), 0..10),
    ) {
        let text = format!("pkg:generic/{}", tokens.concat());
        if let (Ok(purl), Some(read)) = (text.parse::<Purl>(), read_by_the_steps(&text)) {
            let here = (
                purl.namespace().unwrap_or_default().to_owned(),
                purl.name().to_owned(),
                purl.version().map(str::to_owned),
                purl.qualifiers().clone(),
                purl.subpath().map(str::to_owned),
            );
            prop_assert_eq!(here, read, "{}", text);
        }
    }

    #[test]
    fn text_of_separators_never_panics_and_settles_at_once(text in "[a/@?=&#%*.:24fF_A]{0,16}") {
        for text in [format!("pkg:npm/{text}"), format!("pkg:git/{text}"), format!("pkg:{text}")] {
            if let Ok(parsed) = text.parse::<Purl>() {
                prop_assert_eq!(&parsed.as_str().parse::<Purl>(), &Ok(parsed.clone()));
                prop_assert_eq!(&pattern(parsed.as_str()), &PurlPattern::from(&parsed));
            }
            if let Ok(parsed) = text.parse::<PurlPattern>() {
                prop_assert_eq!(&pattern(parsed.as_str()), &parsed);
            }
        }
    }
}
