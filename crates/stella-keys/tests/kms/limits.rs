//! What KMS is given to sign, and how long it may be.

use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use stella_core::digest::Sha256;
use stella_keys::aws_kms::{has, message_limit};
use stella_keys::conformance::conformance_within;
use stella_keys::{Retry, Sign as _, SignError, sign_verified};
use stella_testkit::aws_kms::FakeKms;

use crate::{client, client_with, shared};

#[test]
fn passes_the_suite() {
    let fake = FakeKms::start();
    let client = client(&fake);
    let mut made = 0;
    let made = std::cell::RefCell::new(&mut made);
    conformance_within(
        |algorithm| match message_limit(algorithm) {
            Some(limit) => 1..=limit,
            None => 0..=usize::MAX,
        },
        |algorithm| {
            has(algorithm).then(|| {
                **made.borrow_mut() += 1;
                shared(client.create(algorithm.id(), &format!("suite-{}", made.borrow())))
            })
        },
    );
    assert_eq!(**made.borrow(), 6, "two keys of three algorithms");
}

#[test]
fn each_algorithm_is_asked_for_in_its_own_way_and_the_message_travels_only_where_it_must() {
    let fake = FakeKms::start();
    let client = client(&fake);
    let message = b"the statement itself";
    for (algorithm, signing, message_type, sent) in [
        ("ed25519", "ED25519_SHA_512", "RAW", message.to_vec()),
        (
            "ecdsa-p256",
            "ECDSA_SHA_256",
            "DIGEST",
            Sha256::of(message).as_bytes().to_vec(),
        ),
        ("ml-dsa-65", "ML_DSA_SHAKE_256", "EXTERNAL_MU", vec![]),
    ] {
        let key = client.create(algorithm, algorithm);
        fake.forget_requests();
        sign_verified(&key, message).expect("a signature");
        let [request] = &fake.requests()[..] else {
            panic!("{algorithm}: one request is one signature");
        };
        assert_eq!(request.operation, "Sign");
        assert_eq!(request.body["SigningAlgorithm"], signing);
        assert_eq!(request.body["MessageType"], message_type);
        let text = request.body["Message"].as_str().expect("text");
        let input = base64::engine::general_purpose::STANDARD
            .decode(text)
            .expect("base64");
        if algorithm == "ml-dsa-65" {
            assert_eq!(input.len(), 64);
        } else {
            assert_eq!(input, sent, "{algorithm}");
        }
        assert!(
            request
                .authorization
                .starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
        );
        let description = key.describe();
        assert_eq!(description.store, "aws-kms");
        assert_eq!(description.mechanism, format!("{signing} ({message_type})"));
    }
}

#[test]
fn ed25519_beyond_4096_bytes_is_refused_before_anybody_is_asked_and_never_prehashed() {
    let fake = FakeKms::start();
    let key = client(&fake).create("ed25519", "default");
    fake.forget_requests();
    let refused = sign_verified(&key, &[b'x'; 4_097]).expect_err("too long");
    let expected = SignError::MessageTooLarge {
        limit: 4_096,
        actual: 4_097,
    };
    assert_eq!(refused, expected);
    assert_eq!(refused.retry(), Retry::Never);
    assert!(fake.requests().is_empty());

    sign_verified(&key, &[b'x'; 4_096]).expect("just short enough");
    assert_eq!(fake.requests()[0].body["MessageType"], "RAW");
}

#[test]
fn other_algorithms_sign_what_is_far_longer_than_a_request() {
    let fake = FakeKms::start();
    let client = client(&fake);
    for algorithm in ["ecdsa-p256", "ml-dsa-65"] {
        let key = client.create(algorithm, algorithm);
        sign_verified(&key, &vec![b'x'; 3 << 20]).expect(algorithm);
    }
}

#[test]
fn requests_are_in_flight_at_once() {
    let fake = FakeKms::start();
    let key = client(&fake).create("ecdsa-p256", "busy");
    // None is answered before all are there.
    fake.hold_until(16);
    thread::scope(|scope| {
        let callers: Vec<_> = (0..16)
            .map(|i| {
                scope.spawn({
                    let key = &key;
                    move || sign_verified(key, format!("message {i}").as_bytes())
                })
            })
            .collect();
        for caller in callers {
            caller.join().expect("no panic").expect("a signature");
        }
    });
}

#[test]
fn no_more_are_sent_in_a_second_than_the_setting_allows() {
    let fake = FakeKms::start();
    let client = client_with(&fake.endpoint(), |options| options.requests_per_second = 20);
    let key = client.create("ecdsa-p256", "busy");
    let begin = Instant::now();
    thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| sign_verified(&key, b"message").expect("a signature"));
        }
    });
    // Three to make the key; of the rest 17 at once, 20 a second later, 13
    // another second later.
    assert!(
        begin.elapsed() > Duration::from_millis(1_500),
        "{:?}",
        begin.elapsed()
    );
    assert_eq!(fake.requests().len(), 53);
}

#[test]
fn an_account_whose_quota_others_use_too_is_shared_by_repeating() {
    let fake = FakeKms::start();
    let key = client(&fake).create("ecdsa-p256", "busy");
    fake.limit(10);
    thread::scope(|scope| {
        for _ in 0..25 {
            scope.spawn(|| sign_verified(&key, b"message").expect("a signature, in the end"));
        }
    });
    assert!(fake.requests().len() > 28, "nobody was throttled");
}

#[test]
fn who_would_wait_beyond_the_deadline_for_the_quota_is_told_so_and_takes_nothing() {
    let fake = FakeKms::start();
    let client = client_with(&fake.endpoint(), |options| {
        options.requests_per_second = 2;
        options.request_timeout = Duration::from_secs(3);
    });
    let key = client.create("ecdsa-p256", "busy");
    fake.forget_requests();
    let outcomes: Vec<_> = thread::scope(|scope| {
        let callers: Vec<_> = (0..16)
            .map(|_| scope.spawn(|| sign_verified(&key, b"message")))
            .collect();
        callers.into_iter().map(|c| c.join().expect("no panic")).collect()
    });
    let mut told = 0;
    for outcome in outcomes {
        match outcome {
            Ok(_) => {}
            Err(e @ SignError::Unavailable(_)) => {
                assert!(e.to_string().contains("kms.aws.requestsPerSecond"), "{e}");
                told += 1;
            }
            Err(e) => panic!("{e}"),
        }
    }
    assert!((1..16).contains(&told), "{told}");
    assert_eq!(fake.requests().len(), 16 - told);
}
