//! The API's description is a file that people review.

use std::path::Path;

use serde_json::Value;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/api/openapi.json");

fn document() -> Value {
    serde_json::to_value(stella_server::http::openapi()).expect("the document is JSON")
}

#[test]
fn the_reviewed_description_is_the_one_served() {
    let mut now = serde_json::to_string_pretty(&document()).expect("text");
    now.push('\n');
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(Path::new(FILE).parent().expect("a folder")).expect("made");
        std::fs::write(FILE, &now).expect("written");
        return;
    }
    let reviewed = std::fs::read_to_string(FILE).unwrap_or_default();
    assert!(
        reviewed == now,
        "docs/api/openapi.json is not what is served; after a look at what changed: UPDATE=1 cargo test -p stella-server --test openapi"
    );
}

/// OpenAPI 3.1 makes a response's description obligatory.
#[test]
fn every_response_is_described() {
    let document = document();
    assert!(
        document["openapi"]
            .as_str()
            .expect("a version")
            .starts_with("3.1.")
    );
    let mut seen = 0;
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("operations") {
            for (status, response) in operation["responses"].as_object().expect("responses") {
                let words = response["description"].as_str().unwrap_or_default();
                assert!(
                    !words.trim().is_empty(),
                    "{method} {path} {status} has no description"
                );
                seen += 1;
            }
        }
    }
    assert!(seen > 0);
}
