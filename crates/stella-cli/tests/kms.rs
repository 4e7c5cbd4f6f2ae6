//! Keys in AWS KMS, with the real program: in a build that has it, and in one
//! that does not.

#[cfg(feature = "aws-kms")]
#[path = "kms/with.rs"]
mod with;

/// A build without the feature.
#[cfg(not(feature = "aws-kms"))]
mod without {
    use stella_testkit::binary::Stella;

    #[test]
    fn a_build_without_aws_kms_says_so_and_how_to_get_one_that_has_it() {
        let s = Stella::new(env!("CARGO_BIN_EXE_stella"));
        let config = s.file(
            "signer.yaml",
            "signer: {profiles: {default: {algorithm: ed25519, keyStore: \"kms://aws/key/stellaops-default\"}}}\n",
        );
        s.ok(&format!("init --config {config}"))
            .says("the keys of profile default are in kms://aws/key/stellaops-default");
        s.run(&format!("--config {config} keys generate --profile default"))
            .ends(6)
            .says("this build has no AWS KMS")
            .says("cargo build --release -p stella-cli --features aws-kms");
        let providers = s.json("crypto providers list").to_string();
        assert!(!providers.contains("aws-kms"), "{providers}");
        // What does not need it goes on.
        s.ok(&format!("--config {config} keys generate --profile fips"));
        s.ok(&format!(
            "--config {config} attest create --type test --subject test:verification --profile fips"
        ));
    }
}
