//! `crypto hsm`: what the routes ask of a module, and what they tell.

use std::time::Duration;

use serde_json::json;
use stella_keys::hsm::{ErrorClass, Pin};
use stella_server::app::crypto::hsm::Modules;

use super::*;
use crate::module::{Module, Opener};

const ONE: &str = r#"
signer:
  profiles:
    fips: {algorithm: SHA256-ECDSA-P256, keyStore: "hsm://pkcs11/token/stella"}
hsm:
  modules:
    primary: {libraryPath: /bin/sh, pinFile: /run/secrets/pin, session: {timeout: 120s}}
"#;

const KEY: &str = "hsm://pkcs11/token/stella?serial=c0ffee&object=f1";

impl Api {
    /// With a module that answers as the test wants.
    async fn with_module() -> (Self, Arc<Module>) {
        let mut api = Self::with(ONE).await;
        let module = Module::named("primary");
        let app = Arc::get_mut(&mut api.world.app).expect("nobody else has it yet");
        app.modules = Modules::opened_by(Box::new(Opener(Arc::clone(&module))));
        api.held_elsewhere("f1", KEY).await;
        (api, module)
    }

    async fn post(&self, path: &str, body: &str) -> (u16, Value) {
        self.call(&self.world.owner, Method::POST, path, body).await
    }

    async fn ok(&self, method: Method, path: &str, body: &str) -> Value {
        let (status, answer) = self.call(&self.world.owner, method, path, body).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    /// The steps of the way, and whether each was gone.
    async fn way(&self, what: &str) -> Vec<(String, bool)> {
        let path = format!("/v1/crypto/hsm/examine/{what}");
        let report = self.ok(Method::POST, &path, "").await;
        let steps = report["modules"][0]["steps"].as_array().expect("steps").clone();
        let way: Vec<_> = steps
            .iter()
            .map(|s| (s["step"].as_str().expect("a name").to_owned(), s["ok"] == true))
            .collect();
        assert_eq!(report["ok"], way.iter().all(|(_, ok)| *ok), "{report}");
        for step in steps.iter().filter(|s| s["ok"] == false) {
            for field in ["code", "message", "cause", "next"] {
                assert_ne!(step["fault"][field], Value::Null, "{report}");
            }
        }
        way
    }
}

fn gone(steps: &[&str]) -> Vec<(String, bool)> {
    steps.iter().map(|step| ((*step).to_owned(), true)).collect()
}

#[tokio::test]
async fn without_an_hsm_every_command_says_how_one_is_configured() {
    let api = Api::ready().await;
    for path in ["/v1/crypto/hsm", "/v1/crypto/hsm/slots", "/v1/crypto/hsm/info"] {
        let (status, problem) = api.get(path).await;
        assert_eq!((status, &problem["code"]), (404, &"hsm.none".into()), "{problem}");
        assert!(
            problem["next"]
                .as_str()
                .expect("a command")
                .contains("hsm.modules")
        );
    }
}

#[tokio::test]
async fn the_status_is_asked_for_and_names_what_mends_it() {
    let (api, module) = Api::with_module().await;
    let status = api.ok(Method::GET, "/v1/crypto/hsm", "").await;
    let one = &status["modules"][0];
    assert_eq!(
        (&one["module"], &one["default"], &one["reached"], &one["tokens"]),
        (&json!("primary"), &json!(true), &json!(true), &json!(1)),
        "{status}"
    );
    assert_eq!(one["keys"], json!(["f1"]));
    module.fails(ErrorClass::TimedOut, "C_GetSlotList", "none");
    let status = api.ok(Method::GET, "/v1/crypto/hsm?module=primary", "").await;
    let one = &status["modules"][0];
    assert_eq!(one["reached"], false);
    assert!(
        one["fault"]["message"]
            .as_str()
            .expect("words")
            .starts_with("HSM unavailable"),
        "{status}"
    );
    assert_eq!(
        one["fault"]["next"],
        "stella crypto hsm connectivity --verbose --module primary"
    );
    let (status, problem) = api.get("/v1/crypto/hsm?module=nothere").await;
    assert_eq!((status, &problem["code"]), (404, &"hsm.unknown-module".into()));
}

#[tokio::test]
async fn each_examination_goes_its_part_of_the_way() {
    let (api, _module) = Api::with_module().await;
    assert_eq!(api.way("ping").await, gone(&["Module answers"]));
    assert_eq!(
        api.way("pkcs11-status").await,
        gone(&["Library loaded", "Slot available", "Session active"])
    );
    assert_eq!(
        api.way("test").await,
        gone(&["Library loaded", "Slot available", "Key f1 signs"])
    );
    assert_eq!(
        api.way("connectivity").await,
        gone(&[
            "Library loaded",
            "Slot available",
            "Session active",
            "Key f1 signs"
        ])
    );
    assert_eq!(
        api.way("verify").await,
        gone(&[
            "Configuration",
            "Library loaded",
            "Slot available",
            "Algorithm supported",
            "Session active",
            "Key f1 signs"
        ])
    );
    let (status, problem) = api.post("/v1/crypto/hsm/examine/everything", "").await;
    assert_eq!(
        (status, &problem["code"]),
        (404, &"hsm.unknown-examination".into())
    );
}

#[tokio::test]
async fn the_way_ends_where_it_is_cut() {
    let (api, module) = Api::with_module().await;
    let cut = |good: &[&str], last: &str| {
        let mut way = gone(good);
        way.push((last.to_owned(), false));
        way
    };
    module.state().no_token = true;
    assert_eq!(
        api.way("connectivity").await,
        cut(&["Library loaded"], "Slot available")
    );
    module.state().no_token = false;
    module.fails(ErrorClass::Module, "C_Initialize", "CKR_GENERAL_ERROR");
    assert_eq!(api.way("test").await, cut(&[], "Library loaded"));
    assert_eq!(api.way("ping").await, cut(&[], "Module answers"));

    // A token of another serial number, and a library that is not there.
    let other = KEY.replace("c0ffee", "badcafe");
    let (api, _module) = {
        let (api, module) = Api::with_module().await;
        api.held_elsewhere("f2", &other).await;
        (api, module)
    };
    assert_eq!(api.way("test").await, cut(&["Library loaded"], "Slot available"));
    let mut gone = Api::with(&ONE.replace("/bin/sh", "/nowhere/module.so")).await;
    let app = Arc::get_mut(&mut gone.world.app).expect("nobody else has it yet");
    app.modules = Modules::opened_by(Box::new(Opener(Module::named("primary"))));
    assert_eq!(gone.way("verify").await, cut(&[], "Configuration"));
}

#[tokio::test]
async fn slots_and_libraries_are_told() {
    let (api, _module) = Api::with_module().await;
    let slots = api.ok(Method::GET, "/v1/crypto/hsm/slots", "").await;
    let one = &slots["slots"][0];
    assert_eq!(
        (
            &one["slot"],
            &one["label"],
            &one["serial"],
            &one["login"],
            &one["pin"]
        ),
        (
            &json!(7),
            &json!("stella"),
            &json!("c0ffee"),
            &json!("logged-in"),
            &json!("not-set")
        )
    );
    let info = api.ok(Method::GET, "/v1/crypto/hsm/info", "").await;
    let one = &info["modules"][0];
    assert_eq!(one["libraryVersion"], "2.6");
    assert_eq!(
        one["profiles"],
        json!([{"profile": "fips", "algorithm": "SHA256-ECDSA-P256", "supported": true}])
    );
}

#[tokio::test]
async fn a_session_setting_is_in_force_from_the_next_reconnect() {
    let (api, module) = Api::with_module().await;
    let value = |key: &str| format!("/v1/signer/config/{key}");
    let before = api.ok(Method::GET, &value("session.timeout"), "").await;
    assert_eq!(
        (&before["value"], &before["runtime"]),
        (&json!("2m"), &json!(true))
    );
    for (key, set) in [
        ("session.timeout", "300s"),
        ("session.keepalive", "true"),
        ("session.keepalive_interval", "60s"),
    ] {
        let body = json!({ "value": set }).to_string();
        let entry = api.ok(Method::PUT, &value(key), &body).await;
        assert_eq!(
            (&entry["value"], &entry["origin"]),
            (&json!(set), &json!("runtime"))
        );
    }
    for wrong in ["300", "0s", "soon"] {
        let body = json!({ "value": wrong }).to_string();
        let (status, problem) = api
            .call(&api.world.owner, Method::PUT, &value("session.timeout"), &body)
            .await;
        assert_eq!(
            (status, &problem["code"]),
            (400, &"config.value".into()),
            "{problem}"
        );
    }
    // Also for one that was not open until now.
    api.ok(Method::POST, "/v1/crypto/hsm/examine/ping", "").await;
    let opened = module.state().opened_with.clone().expect("opened");
    assert_eq!(opened.session_timeout, Duration::from_secs(300));
    let report = api.ok(Method::POST, "/v1/crypto/hsm/reconnect", "").await;
    assert_eq!(report["ok"], true, "{report}");
    let used = module.state().reloaded_with.clone().expect("reloaded");
    assert_eq!(used.session_timeout, Duration::from_secs(300));

    // The new worker does not prove itself: said so, with what mends it.
    module.fails(ErrorClass::Module, "C_Initialize", "CKR_GENERAL_ERROR");
    let (status, problem) = api.post("/v1/crypto/hsm/reconnect", "").await;
    assert_eq!((status, &problem["code"]), (503, &"hsm.unavailable".into()));
}

#[tokio::test]
async fn which_library_is_loaded_is_read_and_never_set() {
    let (api, _module) = Api::with_module().await;
    let path = "/v1/signer/config/pkcs11.library_path";
    let entry = api.ok(Method::GET, path, "").await;
    assert_eq!(
        (&entry["value"], &entry["runtime"]),
        (&json!("/bin/sh"), &json!(false))
    );
    let body = r#"{"value": "/tmp/evil.so"}"#;
    let (status, problem) = api.call(&api.world.owner, Method::PUT, path, body).await;
    assert_eq!(
        (status, &problem["code"]),
        (422, &"config.file-only".into()),
        "{problem}"
    );
    let next = problem["next"].as_str().expect("a command");
    assert!(next.contains("hsm.modules.NAME.libraryPath"), "{next}");
}

#[tokio::test]
async fn a_pin_is_tried_once_beside_the_module_in_use() {
    let (api, module) = Api::with_module().await;
    let verify = "/v1/crypto/hsm/auth/verify";
    let done = api.ok(Method::POST, verify, "").await;
    assert_eq!(
        (&done["token"], &done["serial"]),
        (&json!("stella"), &json!("c0ffee"))
    );
    module.state().pin.count_low = true;
    let done = api.ok(Method::POST, verify, r#"{"force": true}"#).await;
    assert_eq!(
        (&done["before"], &done["warnings"][0].is_string()),
        (&json!("count-low"), &true)
    );
    assert_eq!(module.state().asked.clone(), ["pin", "force-pin"]);

    module.state().right_pin = Some(Pin::new(b"9999".to_vec()));
    let (status, problem) = api.post(verify, "").await;
    assert_eq!((status, &problem["code"]), (503, &"hsm.unauthenticated".into()));
    let tried = |asked: &str| module.state().asked.iter().filter(|a| **a == asked).count();
    assert_eq!(tried("wrong-pin"), 1);
}

#[tokio::test]
async fn a_new_pin_is_used_once_it_was_accepted_and_its_file_is_named() {
    let (api, module) = Api::with_module().await;
    module.state().right_pin = Some(Pin::new(b"9999".to_vec()));
    let update = "/v1/crypto/hsm/auth/update";
    let (status, problem) = api.post(update, r#"{"slot": 7, "pin": "1111"}"#).await;
    assert_eq!((status, &problem["code"]), (503, &"hsm.unauthenticated".into()));
    assert!(!problem.to_string().contains("1111"), "{problem}");
    assert!(module.state().reloaded_with.is_none(), "the old worker stays");

    let done = api
        .ok(Method::POST, update, r#"{"slot": 7, "pin": "9999"}"#)
        .await;
    let used = module.state().reloaded_with.clone().expect("reloaded");
    assert_eq!(used.pin, Some(Pin::new(b"9999".to_vec())));
    let next = done["next"].as_str().expect("a command");
    assert!(
        next.contains("/run/secrets/pin") && next.contains("hsm reconnect"),
        "{next}"
    );
    assert!(
        done["warnings"][0]
            .as_str()
            .expect("a warning")
            .contains("restart")
    );
    assert!(!done.to_string().contains("9999"), "{done}");

    let (status, problem) = api.post(update, r#"{"slot": 7, "pin": ""}"#).await;
    assert_eq!((status, &problem["code"]), (400, &"hsm.pin-empty".into()));
    // Another token has the same PIN file: the new PIN would be a wrong one there.
    let elsewhere = KEY.replace("c0ffee", "badcafe");
    api.held_on_standby("f2", &elsewhere).await;
    let (status, problem) = api.post(update, r#"{"slot": 7, "pin": "9999"}"#).await;
    assert_eq!(
        (status, &problem["code"]),
        (409, &"hsm.pin-shared".into()),
        "{problem}"
    );
}

#[tokio::test]
async fn a_token_that_was_left_alone_is_asked_again_once_its_new_pin_is_accepted() {
    let (api, module) = Api::with_module().await;
    let asked = || module.state().asked.iter().filter(|a| **a == "key").count();
    let sign = async |n: u32| {
        let body = json!({
            "profiles": ["fips"], "predicateType": "test", "predicate": "{}", "force": true,
            "subjects": [{"name": "test:pin", "digest": {"sha256": format!("{n:064x}")}}],
        });
        let (status, created) = api.post("/v1/attestations", &body.to_string()).await;
        assert_eq!(status, 202, "{created}");
    };
    module.fails(ErrorClass::Module, "C_Sign", "CKR_DEVICE_ERROR");
    for n in 1..=5 {
        sign(n).await;
    }
    assert_eq!(asked(), 3, "then it was left alone");
    let status = api.ok(Method::GET, "/v1/crypto/hsm", "").await;
    let breaker = &status["modules"][0]["breakers"][0];
    assert_eq!(breaker["state"], "open", "{status}");
    assert!(
        breaker["store"]
            .as_str()
            .is_some_and(|s| s.contains("token stella")),
        "{breaker}"
    );
    assert!(
        breaker["error"]
            .as_str()
            .is_some_and(|e| e.contains("CKR_DEVICE_ERROR")),
        "{breaker}"
    );
    assert!(breaker["nextProbeSeconds"].is_number(), "{breaker}");

    module.state().down = None;
    let update = "/v1/crypto/hsm/auth/update";
    api.ok(Method::POST, update, r#"{"slot": 7, "pin": "9999"}"#)
        .await;
    sign(6).await;
    assert_eq!(asked(), 4, "without waiting for probes");
    let status = api.ok(Method::GET, "/v1/crypto/hsm", "").await;
    assert_eq!(status["modules"][0]["breakers"][0]["state"], "closed", "{status}");
}

#[tokio::test]
async fn the_log_has_what_happened_to_modules_and_what_failed_by_them() {
    let (api, _module) = Api::with_module().await;
    let line = |level: &str, component: &str, message: &str| stella_store::LogRow {
        at: api.world.now().parse().expect("a time"),
        level: level.to_owned(),
        component: component.to_owned(),
        message: message.to_owned(),
        fields: json!({}),
    };
    let lines = vec![
        line("info", "hsm", "worker started"),
        line("error", "signing", "signing failed: f1: PKCS#11 operation failed"),
        line("error", "hsm", "HSM session timeout"),
        line("error", "verify", "signature verification failed"),
    ];
    api.world.app.store.log(lines).await.expect("written");
    let told = async |query: &str| {
        let list = api
            .ok(Method::GET, &format!("/v1/crypto/hsm/logs{query}"), "")
            .await;
        list["lines"].as_array().expect("lines").len()
    };
    assert_eq!(told("").await, 3);
    assert_eq!(told("?level=error").await, 2);
    assert_eq!(told("?limit=1").await, 1);
}

#[tokio::test]
async fn who_manages_no_keys_reconnects_nothing_and_tries_no_pin() {
    let (api, module) = Api::with_module().await;
    for path in ["reconnect", "auth/verify", "auth/update"] {
        let path = format!("/v1/crypto/hsm/{path}");
        for role in [Role::Signer, Role::Verifier, Role::Auditor, Role::Approver] {
            let (status, _) = api.call(&by(role), Method::POST, &path, "{}").await;
            assert_eq!(status, 403, "{role} {path}");
        }
    }
    let (status, _) = api
        .call(&by(Role::Signer), Method::GET, "/v1/crypto/hsm/slots", "")
        .await;
    assert_eq!(status, 403);
    assert!(module.state().asked.is_empty());
}

#[tokio::test]
async fn failover_to_what_is_no_module_says_how_that_is_done() {
    let api = Api::with(
        r#"
signer: {profiles: {fips: {algorithm: ecdsa-p256, keyStore: "hsm://pkcs11/token/stella"}}}
hsm: {modules: {primary: {libraryPath: /usr/lib/module.so}}, local: {vault: {pinFile: /run/secrets/vault}}}
"#,
    )
    .await;
    for (to, next) in [
        ("kms", "stella config set signing.mode kms"),
        ("kms://aws", "stella config set signing.mode kms"),
        ("vault", "stella keys activate"),
        ("hsm://local/vault", "stella keys activate"),
        ("nobody", "stella crypto hsm status"),
    ] {
        let body = format!(r#"{{"to": "{to}"}}"#);
        let path = "/v1/crypto/hsm/failover";
        let (status, problem) = api.call(&api.world.owner, Method::POST, path, &body).await;
        assert_eq!(
            (status, &problem["code"]),
            (404, &"hsm.unknown-module".into()),
            "{problem}"
        );
        assert!(
            problem["next"].as_str().is_some_and(|n| n.contains(next)),
            "{problem}"
        );
    }
}
