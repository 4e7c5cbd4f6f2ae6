//! What goes wrong between us and KMS: which error it is, how often it was
//! tried, and that signing goes on afterwards.

use std::net::TcpListener;
use std::time::Duration;

use stella_keys::{Retry, SignError, sign_verified};
use stella_testkit::aws_kms::{ACCESS_KEY, FakeKms, Fault, KeyState, SECRET_KEY};

use crate::{client, client_as, client_with, impatient, reference};

#[test]
fn throttling_is_waited_out() {
    let fake = FakeKms::start();
    let key = client(&fake).create("ecdsa-p256", "pay");
    fake.forget_requests();
    fake.next(vec![Fault::Throttled; 4]);
    sign_verified(&key, b"message").expect("at the fifth attempt");
    assert_eq!(fake.requests().len(), 5);
}

#[test]
fn throttling_that_goes_on_ends_before_the_deadline_with_the_number_of_attempts() {
    let fake = FakeKms::start();
    let key = impatient(&fake, Duration::from_secs(3)).create("ecdsa-p256", "pay");
    fake.always(Some(Fault::Throttled));
    fake.forget_requests();
    let error = sign_verified(&key, b"message").expect_err("throttled");
    assert!(matches!(error, SignError::Unavailable(_)), "{error:?}");
    let attempts = fake.requests().len();
    assert!(attempts > 2, "{attempts}");
    let text = error.to_string();
    assert!(
        text.contains(&format!(
            "ThrottlingException: Rate exceeded ({attempts} attempts)"
        )),
        "{text}"
    );
    fake.always(None);
    sign_verified(&key, b"message").expect("afterwards");
}

/// Fault, error code, and how many requests it took to find out.
#[test]
fn each_fault_is_told_apart_and_repeated_only_where_that_helps() {
    let fake = FakeKms::start();
    let key = client(&fake).create("ed25519", "pay");
    for (fault, code, requests) in [
        (Fault::Status(503), "signer.unavailable", 3),
        (Fault::Status(500), "signer.unavailable", 3),
        (
            Fault::Error(500, "KMSInternalException", "try again"),
            "signer.unavailable",
            3,
        ),
        (
            Fault::Error(503, "DependencyTimeoutException", "try again"),
            "signer.unavailable",
            3,
        ),
        (Fault::Cut, "signer.unavailable", 2),
        (Fault::Garbage, "signer.unavailable", 3),
        (
            Fault::Error(
                400,
                "AccessDeniedException",
                "not authorized to perform: kms:Sign",
            ),
            "signer.unauthenticated",
            1,
        ),
        (
            Fault::Error(400, "ExpiredTokenException", "expired"),
            "signer.unauthenticated",
            1,
        ),
        (
            Fault::Error(400, "SomethingNewException", "?"),
            "signer.internal",
            1,
        ),
        (Fault::WrongSignature, "signer.does-not-verify", 1),
        (Fault::ShortSignature, "signer.does-not-verify", 1),
    ] {
        fake.forget_requests();
        fake.always(Some(fault.clone()));
        let error = sign_verified(&key, b"message").expect_err("a fault");
        assert_eq!(error.code(), code, "{fault:?}: {error}");
        assert_eq!(fake.requests().len(), requests, "{fault:?}: {error}");
        fake.always(None);
        sign_verified(&key, b"message").expect("afterwards");
    }
}

#[test]
fn one_fault_that_passes_is_noticed_by_nobody() {
    let fake = FakeKms::start();
    let key = impatient(&fake, Duration::from_secs(6)).create("ml-dsa-65", "pqc");
    for fault in [
        Fault::Status(500),
        Fault::Cut,
        Fault::CutAfterDoing,
        Fault::Garbage,
        Fault::Hang,
    ] {
        fake.next([fault.clone()]);
        sign_verified(&key, b"message").unwrap_or_else(|e| panic!("{fault:?}: {e}"));
    }
}

#[test]
fn a_kms_that_hangs_is_given_up_at_the_deadline() {
    let fake = FakeKms::start();
    let key = impatient(&fake, Duration::from_secs(2)).create("ed25519", "pay");
    fake.forget_requests();
    fake.always(Some(Fault::Hang));
    let error = sign_verified(&key, b"message").expect_err("no answer");
    assert!(matches!(error, SignError::TimedOut(_)), "{error:?}");
    assert_eq!(error.retry(), Retry::Later);
    fake.always(None);
    sign_verified(&key, b"message").expect("afterwards, while the others hang on");
}

#[test]
fn nobody_there_is_an_outage() {
    let free = TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("an address");
    let client = client_with(&format!("http://{free}"), |_| {});
    let error = client.kms.find(&reference("pay")).expect_err("nobody there");
    assert!(matches!(error, SignError::Unavailable(_)), "{error:?}");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[test]
fn a_key_that_cannot_be_used_is_named_with_its_state_and_the_command_that_mends_it() {
    let fake = FakeKms::start();
    let key = client(&fake).create("ed25519", "pay");
    for (state, says, mends) in [
        (KeyState::Disabled, "DisabledException", "aws kms enable-key"),
        (
            KeyState::PendingDeletion,
            "pending deletion",
            "aws kms cancel-key-deletion",
        ),
        (
            KeyState::Unavailable,
            "KeyUnavailableException",
            "aws kms describe-key",
        ),
    ] {
        fake.set_state("alias/pay", state);
        let error = sign_verified(&key, b"message").expect_err("unusable");
        assert_eq!(error.code(), "signer.key-missing", "{error}");
        assert_eq!(
            error.retry(),
            Retry::AfterOperator,
            "no record is given up for it"
        );
        let text = error.to_string();
        assert!(text.contains(says) && text.contains(mends), "{text}");
        fake.set_state("alias/pay", KeyState::Enabled);
        sign_verified(&key, b"message").expect("enabled again");
    }
}

#[test]
fn credentials_that_are_wrong_are_shown_once_and_not_again() {
    let fake = FakeKms::start();
    for (access_key, secret, says) in [
        ("AKIDSOMEBODYELSE", SECRET_KEY, "UnrecognizedClientException"),
        (ACCESS_KEY, "another secret", "InvalidSignatureException"),
    ] {
        fake.forget_requests();
        let client = client_as(access_key, secret, &fake.endpoint(), |_| {});
        let error = client.kms.find(&reference("pay")).expect_err("not let in");
        assert!(matches!(error, SignError::Unauthenticated(_)), "{error:?}");
        let text = error.to_string();
        assert!(
            text.contains(says) && text.contains("aws sts get-caller-identity"),
            "{text}"
        );
        assert!(!text.contains(secret), "{text}");
        assert_eq!(fake.requests().len(), 1);
    }
}

#[test]
fn without_credentials_nothing_is_sent() {
    let fake = FakeKms::start();
    let client = client_with(&fake.endpoint(), |options| {
        options.credentials_file = Some("/nonexistent/credentials".into());
    });
    let error = client.kms.find(&reference("pay")).expect_err("no credentials");
    assert!(matches!(error, SignError::Unauthenticated(_)), "{error:?}");
    assert!(error.to_string().contains("no credentials"), "{error}");
    assert!(fake.requests().is_empty());
}
