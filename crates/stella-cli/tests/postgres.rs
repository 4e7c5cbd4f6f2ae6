//! Servers that share a PostgreSQL, from the empty database to a restored one.

use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use stella_testkit::binary::{Ran, Stella};
use stella_testkit::postgres::Postgres;

/// A server, killed when the test ends, however it ends.
struct Serving(Child);

impl Serving {
    fn start(s: &Stella) -> Self {
        let process = s.command(["serve"]).stderr(Stdio::null()).spawn();
        let serving = Self(process.expect("it starts"));
        let begun = Instant::now();
        while UnixStream::connect(s.home().join("stella.sock")).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(30), "it does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        serving
    }

    fn send(&self, signal: Signal) {
        let id = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        kill_process(id.expect("a process id"), signal).expect("it is there");
    }

    fn end(mut self) {
        self.send(Signal::TERM);
        assert!(self.0.wait().expect("it ends").success());
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A database with the role that servers run as.
struct Shared {
    server: Postgres,
    database: String,
}

impl Shared {
    fn empty() -> Self {
        let server = Postgres::start();
        let database = server.database();
        server
            .psql(&database, "postgres", "CREATE ROLE stella LOGIN")
            .expect("a role");
        Self { server, database }
    }

    fn set_up() -> Self {
        let shared = Self::empty();
        let owner = shared.owner();
        stella().ok(&format!("db migrate --store {owner} --service stella"));
        shared
    }

    fn owner(&self) -> String {
        self.server.url(&self.database)
    }

    /// As its owner.
    fn sql(&self, sql: &str) -> String {
        let said = self.server.psql(&self.database, "postgres", sql);
        said.expect("the database takes it")
    }

    fn url(&self) -> String {
        self.server.url_as("stella", &self.database)
    }

    /// The first home on it.
    fn home(&self) -> Stella {
        let s = stella();
        s.ok(&format!("init --store {}", self.url()));
        s
    }

    /// A further home, with the sealing key of the first.
    fn replica(&self, of: &Stella) -> Stella {
        let s = stella();
        let key = of.home().join("sealing.key");
        s.ok(&format!(
            "init --store {} --sealing-key {}",
            self.url(),
            key.display()
        ))
        .says("joined");
        s
    }
}

fn stella() -> Stella {
    Stella::new(env!("CARGO_BIN_EXE_stella"))
}

fn id(ran: &Ran) -> String {
    ran.json()["id"].as_str().expect("an id").to_owned()
}

#[test]
fn a_database_is_set_up_by_its_owner_and_served_by_another_role() {
    let shared = Shared::empty();
    let (s, owner, url) = (stella(), shared.owner(), shared.url());
    s.run(&format!("init --store {url}"))
        .ends(6)
        .says("set it up with: stella db migrate");
    assert!(!s.home().exists(), "half a home");
    s.run(&format!("db status --store {url}"))
        .ends(1)
        .says("not set up");

    let plan = s.json(&format!("db migrate --plan --store {owner} --service stella"));
    assert_eq!(plan["done"], false);
    let sql = plan["migrations"][0]["sql"].as_str().expect("the SQL");
    assert!(sql.contains("CREATE TABLE signer.key_audit_log"), "{sql}");
    s.run(&format!("db status --store {owner}")).ends(1);
    s.run(&format!("db migrate --store {url}")).ends(6).says("42501");
    s.run(&format!("db migrate --store {owner} --service nobody"))
        .says("CREATE ROLE \"nobody\" LOGIN");

    // The role is that of the configuration where the owner is another.
    s.run_with(&format!("db migrate --store {owner}"), &[("STELLA_STORE", &url)])
        .ends(0)
        .says("role stella, let in");
    s.ok(&format!("db migrate --store {owner}"))
        .says("nothing to migrate");
    s.ok(&format!("db status --store {url}")).says("runs on");

    s.ok(&format!("init --store {url}")).says("serve");
    let yaml = std::fs::read_to_string(s.home().join("signer.yaml")).expect("a configuration");
    assert!(yaml.contains(&url), "{yaml}");
    assert!(!s.home().join("stella.db").exists());
    s.run(&format!("init --store {url}"))
        .ends(2)
        .says("exists already");
    s.run("config get store.url").ends(2).says("serve");

    for command in [
        "attest status",
        "keys list",
        "attest create --type test --subject test:a",
    ] {
        s.run(command).ends(2).says("no server runs on it").says("serve");
    }
    s.ok("db verify").says("the store is whole");
    s.run("doctor --check check.store.integrity-light").ends(0);

    let serving = Serving::start(&s);
    s.ok("attest status").says("postgresql database");
    let made = s.ok("attest create --type test --subject test:a -o json");
    s.ok(&format!("verify attestation --attestation {}", id(&made)));
    s.ok("db verify");
    serving.end();
    s.run("attest status").ends(2);

    // Two things that a home is never opened with.
    let file = s.home().join("sealing.key");
    let kept = std::fs::read(&file).expect("a key");
    std::fs::remove_file(&file).expect("removed");
    s.run("serve")
        .ends(6)
        .says("which is not in this home")
        .says("copy the file sealing.key");
    let other = stella();
    other.ok("init");
    std::fs::copy(other.home().join("sealing.key"), &file).expect("another's");
    s.run("db verify").ends(6).says("sealed with sealing key");
    std::fs::write(&file, kept).expect("restored");
    s.ok("db verify");
}

#[test]
fn a_password_is_in_a_file_and_shown_nowhere() {
    let server = Postgres::on_the_network(None);
    server.password("an-open-secret");
    let url = format!("{}?sslmode=disable", server.network_url("127.0.0.1", "postgres"));
    let s = stella();
    let with = url.replace("postgres@", "postgres:an-open-secret@");
    let refused = s
        .run(&format!("init --store {with}"))
        .ends(2)
        .says("--password-file");
    assert!(
        !format!("{refused:?}")
            .replace(&with, "")
            .contains("an-open-secret")
    );
    let file = s.file("password", "an-open-secret\n");
    s.run(&format!("db migrate --store {url} --password-file {file}"))
        .ends(6)
        .says("chmod 600");
    std::process::Command::new("chmod")
        .args(["600", &file])
        .status()
        .expect("chmod");
    s.ok(&format!("db migrate --store {url} --password-file {file}"));
    s.run(&format!("db status --store {url}")).ends(6);
    s.ok(&format!("init --store {url} --password-file {file}"));
    let serving = Serving::start(&s);
    s.ok("config get store.password_file").says(&file);
    let list = s.ok("config list -o json");
    assert!(!list.stdout.contains("an-open-secret"), "{}", list.stdout);
    serving.end();
    // From the environment it is used, and kept to itself.
    s.run_with("db verify", &[("STELLA_STORE", &with)]).ends(0);
    std::fs::write(&file, "wrong").expect("written");
    let refused = s.run("db verify").ends(6).says("28P01");
    assert!(!format!("{refused:?}").contains("wrong"), "{refused:?}");
}

#[test]
fn what_one_replica_does_the_other_knows() {
    let shared = Shared::set_up();
    let one = shared.home();
    let url = shared.url();
    let stranger = stella();
    stranger
        .run(&format!("init --store {url}"))
        .ends(6)
        .says("--sealing-key FILE");
    let other = stella();
    other.ok("init");
    let key = other.home().join("sealing.key");
    stranger
        .run(&format!("init --store {url} --sealing-key {}", key.display()))
        .ends(6)
        .says("sealed with sealing key");
    assert!(!stranger.home().exists(), "half a home");

    let two = shared.replica(&one);
    let (_one, _two) = (Serving::start(&one), Serving::start(&two));
    let made = one.ok("attest create --type test --subject test:a -o json");
    two.ok(&format!("verify attestation --attestation {}", id(&made)));
    let made = two.ok("attest create --type test --subject test:b -o json");
    one.ok(&format!("verify attestation --attestation {}", id(&made)));

    // A second is the promise; nothing is waited for at all.
    one.ok("config set rotation.overlap_days 21");
    two.ok("config get rotation.overlap_days").says("21");
    two.ok("config set signing.mode software");
    one.ok("config get signing.mode").says("software");
    let keys = one.json("keys list");
    let key = keys["keys"][0]["id"].as_str().expect("a key").to_owned();
    two.ok("keys generate --profile default --key-id next");
    one.ok(&format!(
        "anchor revoke-key --anchor-id ALL --key-id {key} --reason compromise --yes"
    ));
    for s in [&one, &two] {
        s.run(&format!("verify attestation --attestation {}", id(&made)))
            .ends(11)
            .says("key.window-unknown");
        s.ok("db verify");
    }
    two.ok("token create --role verifier --name v --expires 1d -q");
    one.ok("token list").says("verifier");
}

/// A rolling upgrade, with a stand-in for the next release: what it does to the
/// schema, and what its servers write. First it makes room, naming this release
/// as one that goes on; one release later it takes away.
#[test]
fn servers_go_on_while_the_next_release_takes_their_place() {
    let shared = Shared::set_up();
    let one = shared.home();
    let two = shared.replica(&one);
    let _one = Serving::start(&one);
    let before = one.ok("attest create --type test --subject test:before -o json");
    let versions = "SELECT max(version) FROM signer.schema_versions";
    let newest: u32 = shared.sql(versions).parse().expect("a number");

    shared.sql(&format!(
        "BEGIN;
         ALTER TABLE signer.attestations ADD COLUMN region TEXT;
         CREATE TABLE signer.of_the_next_release (id UUID PRIMARY KEY);
         INSERT INTO signer.schema_versions (version, oldest_binary) VALUES ({}, '0.1.0');
         COMMIT",
        newest + 1
    ));
    // Who was there goes on, who comes may come, and each reads the other's.
    let during = one.ok("attest create --type test --subject test:during -o json");
    one.ok("db status")
        .says(&(newest + 1).to_string())
        .says("0.1.0 and later");
    let server = Serving::start(&two);
    for made in [&before, &during] {
        two.ok(&format!("verify attestation --attestation {}", id(made)))
            .says("PASS");
    }
    two.ok("attest create --type test --subject test:two");
    two.ok("db verify").says("the store is whole");
    two.run(&format!("db migrate --store {}", shared.owner()))
        .ends(6)
        .says("a newer release upgraded it");
    server.end();
    // What the next release writes into its columns is nothing to this one.
    shared.sql("SET session_replication_role = replica; UPDATE signer.attestations SET region = 'eu'");
    one.ok(&format!("verify attestation --attestation {}", id(&during)));
    one.ok("db verify");

    shared.sql(&format!(
        "INSERT INTO signer.schema_versions (version, oldest_binary) VALUES ({}, '99.0.0')",
        newest + 2
    ));
    two.run("serve")
        .ends(6)
        .says("a newer release upgraded it: use that one");
    two.run("db status").says("99.0.0 and later");
}

/// A replica is stopped in the midst of signing, perhaps within a commit. The
/// other one signs everything; woken up, the first does no harm.
#[test]
fn a_replica_that_is_paused_while_it_signs_finishes_nothing_of_another() {
    const RECORDS: usize = 30;
    let shared = Shared::set_up();
    let one = shared.home();
    let two = shared.replica(&one);
    for (s, name) in [(&one, "one"), (&two, "two")] {
        let yaml = s.home().join("signer.yaml");
        let mut text = std::fs::read_to_string(&yaml).expect("a configuration");
        text = text.replace("store:", "store:\n  idleInTransactionTimeout: 1s");
        text.push_str(&format!(
            "\nserver: {{replica: {name}, queueInterval: 50ms, heartbeat: 200ms}}\n\
             signing: {{deadline: 500ms, retryFirst: 50ms, retryMax: 200ms, claimLifetime: 1s}}\n"
        ));
        std::fs::write(&yaml, text).expect("written");
    }
    let sql = |sql: &str| {
        let done = shared.server.psql(&shared.database, "postgres", sql);
        done.expect("an answer")
    };
    let first = Serving::start(&one);
    for n in 0..RECORDS {
        one.run(&format!(
            "attest create --profile fips --type test --subject test:{n}"
        ))
        .ends(5);
    }
    sql("CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN PERFORM pg_sleep(0.03); RETURN NEW; END $$;
         CREATE TRIGGER slow BEFORE UPDATE ON signer.attestations FOR EACH ROW
         WHEN (NEW.state = 'signed') EXECUTE FUNCTION slow()");
    one.ok("keys generate --profile fips --key-id f1");
    let signed = || sql("SELECT count(*) FROM signer.attestations WHERE state = 'signed'");
    let claims = || sql("SELECT count(*) FROM signer.signing_claims WHERE replica = 'one'");
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < Duration::from_secs(30), "nothing is signed");
        if signed() != "0" {
            first.send(Signal::STOP);
            if claims() != "0" {
                break;
            }
            first.send(Signal::CONT);
        }
    }
    assert_ne!(signed(), RECORDS.to_string());

    let _second = Serving::start(&two);
    let begun = Instant::now();
    while signed() != RECORDS.to_string() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{} signed", signed());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(claims(), "0", "they were taken over");
    two.ok("doctor --check check.attestor.replicas")
        .says("one was not seen since");
    let ledger = || sql("SELECT count(*) FROM signer.ledger");
    assert_eq!(ledger(), RECORDS.to_string());
    first.send(Signal::CONT);
    one.ok("attest create --type test --subject test:awake");
    let begun = Instant::now();
    while sql("SELECT count(*) FROM signer.signing_claims") != "0" {
        assert!(begun.elapsed() < Duration::from_secs(30), "claims stay");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(ledger(), (RECORDS + 1).to_string());
    let begun = Instant::now();
    while two
        .ok("doctor --check check.attestor.replicas")
        .stdout
        .contains("not seen")
    {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "its heart does not beat"
        );
    }
    let led = "SELECT count(*), count(DISTINCT objid) FROM pg_locks WHERE locktype = 'advisory' AND classid = 6004796";
    assert_eq!(sql(led), "2|2", "of two servers one leads in each duty");
    let report = one.json("db verify");
    assert_eq!(report["ok"], true, "{report}");
    for s in [&one, &two] {
        s.ok("attest status").says("postgresql");
    }
}

#[test]
fn a_dump_is_restored_elsewhere_and_found_whole() {
    let shared = Shared::set_up();
    let s = shared.home();
    let serving = Serving::start(&s);
    let made = s.ok("attest create --type test --subject test:a -o json");
    let dump = s.folder().join("stella.dump");
    let dumped = shared
        .server
        .program("pg_dump")
        .args(["-Fc", "-d", &shared.database, "-f"])
        .arg(&dump)
        .output()
        .expect("pg_dump runs");
    assert!(dumped.status.success(), "{dumped:?}");
    s.ok("attest create --type test --subject test:later");
    serving.end();

    let elsewhere = Shared::empty();
    let restored = elsewhere
        .server
        .program("pg_restore")
        .args(["--exit-on-error", "-d", &elsewhere.database])
        .arg(&dump)
        .output()
        .expect("pg_restore runs");
    assert!(restored.status.success(), "{restored:?}");
    let yaml = s.home().join("signer.yaml");
    let text = std::fs::read_to_string(&yaml).expect("a configuration");
    std::fs::write(&yaml, text.replace(&shared.url(), &elsewhere.url())).expect("written");
    s.ok("db status").says("runs on");
    let report = s.json("db verify");
    assert_eq!(
        (&report["ok"], &report["attestations"]),
        (&true.into(), &1.into()),
        "{report}"
    );

    let _serving = Serving::start(&s);
    s.ok(&format!("verify attestation --attestation {}", id(&made)));
    s.ok("attest create --type test --subject test:b");
    // The guards came along.
    let altered = "UPDATE signer.key_audit_log SET actor = 'nobody'";
    for user in ["stella", "postgres"] {
        assert!(elsewhere.server.psql(&elsewhere.database, user, altered).is_err());
    }
}

#[test]
fn a_home_moves_out_of_its_file_with_everything() {
    let shared = Shared::set_up();
    let url = shared.url();
    let s = stella();
    s.ok("init");
    s.ok("keys generate --profile pqc --key-id post");
    s.ok("anchor create --purl-pattern pkg:npm/* --key-ids post");
    s.ok("config set rotation.overlap_days 21");
    let token = s
        .ok("token create --role verifier --name ci --expires 1d -q")
        .stdout;
    let first = id(&s.ok("attest create --type test --subject test:a -o json"));
    s.ok("verify attestation --last");
    let digest = format!("sha256:{}", "a".repeat(64));
    let second = id(&s.ok(&format!(
        "attest create -o json --type openvex --profile pqc --subject pkg:npm/x@1@{digest} --predicate {}",
        s.file("vex.json", "{\"weight\": 0.10, \"e\": 1e2}")
    )));
    s.ok(&format!(
        "attest withdraw {second} --yes --reason policy-violation"
    ));
    let told = |s: &Stella| {
        let asked = [
            "keys list",
            "anchor list",
            "attest list",
            "audit query",
            "token list",
            "config list --overridden",
        ];
        asked.map(|line| s.json(line))
    };
    let before = told(&s);
    let report = s.json("db verify");

    let copy = format!("db copy --from sqlite --to {url}");
    {
        let _serving = Serving::start(&s);
        s.run(&copy).ends(6).says("in use by another process");
    }
    let empty = Shared::empty();
    s.run(&copy.replace(&url, &empty.url()))
        .ends(6)
        .says("stella db migrate");
    let refusing = "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'not today' USING ERRCODE = '53100'; END $$;
        CREATE TRIGGER no BEFORE INSERT ON signer.tokens FOR EACH ROW EXECUTE FUNCTION no()";
    shared
        .server
        .psql(&shared.database, "postgres", refusing)
        .expect("a trigger");
    s.run(&copy).ends(6).says("not today");
    s.ok("keys list");
    shared
        .server
        .psql(&shared.database, "postgres", "DROP TRIGGER no ON signer.tokens")
        .expect("dropped");

    // Killed in the middle, there is one home, and it is neither.
    shared
        .server
        .psql(
            &shared.database,
            "postgres",
            &refusing
                .replace(
                    "RAISE EXCEPTION 'not today' USING ERRCODE = '53100'",
                    "PERFORM pg_sleep(60); RETURN NEW",
                )
                .replace("FUNCTION no", "FUNCTION slow")
                .replace("TRIGGER no", "TRIGGER slow"),
        )
        .expect("a trigger");
    let mut cut_off = s
        .command(copy.split_whitespace())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let psql = |sql: &str| {
        shared
            .server
            .psql("postgres", "postgres", sql)
            .expect("an answer")
    };
    while psql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'INSERT INTO signer.tokens%'") == "0" {
        std::thread::sleep(Duration::from_millis(20));
    }
    cut_off.kill().expect("killed");
    cut_off.wait().expect("it ends");
    s.run("keys list")
        .ends(2)
        .says("if the move was cut off, repeat stella db copy");
    psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'stella'");
    shared
        .server
        .psql(&shared.database, "postgres", "DROP TRIGGER slow ON signer.tokens")
        .expect("dropped");

    let copied = s.json(&copy);
    assert_eq!(copied["configured"], true);
    assert_eq!(copied["chainHead"], report["chainHead"]);
    let rows = |table: &str| {
        let tables = copied["tables"].as_array().expect("tables");
        tables.iter().find(|t| t["table"] == table).expect("a table")["rows"].clone()
    };
    assert_eq!(rows("attestations"), 2);
    assert_eq!(rows("sealed_keys"), 2);
    let old = [("STELLA_STORE", "sqlite:")];
    s.run_with("keys list", &old)
        .ends(2)
        .says("has moved to")
        .says("set store.url");
    s.run_with("serve", &old).ends(2).says("has moved to");
    // Cut off after its end, it is repeated.
    s.run_with(&copy, &old).ends(0);

    let _serving = Serving::start(&s);
    assert_eq!(told(&s), before);
    s.ok(&format!("verify attestation --attestation {first}"));
    s.ok("attest create --type test --subject test:b").says("signed");
    s.ok("attest create --type test --subject test:c --profile pqc");
    let checked = s.json("db verify");
    assert_eq!(checked["findings"], serde_json::json!([]));
    let socket = s.home().join("stella.sock");
    assert!(socket.exists());
    drop(token);
    // Since then more was kept there.
    let again = s.folder().join("again");
    std::fs::create_dir(&again).expect("a folder");
    for file in ["home.lock", "sealing.key", "stella.db"] {
        std::fs::copy(s.home().join(file), again.join(file)).expect("a copy");
    }
    std::process::Command::new("chmod")
        .arg("700")
        .arg(&again)
        .status()
        .expect("chmod");
    s.run(&format!("{copy} --home {}", again.display()))
        .ends(2)
        .says("holds something else");
}

#[test]
fn on_sqlite_there_is_nothing_to_migrate() {
    let s = stella();
    s.ok("init");
    s.ok("db status")
        .says("sqlite")
        .says("brought up to date when it is opened");
    s.ok("db migrate").says("brought up to date when it is opened");
}

#[test]
fn a_command_about_one_host_is_asked_of_the_one_that_is_meant() {
    let shared = Shared::set_up();
    let one = shared.home();
    let two = shared.replica(&one);
    for (s, name) in [(&one, "a"), (&two, "b")] {
        let yaml = s.home().join("signer.yaml");
        let text = std::fs::read_to_string(&yaml).expect("a configuration");
        let own = format!("{text}server: {{replica: {name}, listen: \"127.0.0.1:0\", heartbeat: 1s}}\n");
        std::fs::write(&yaml, own).expect("written");
    }
    let _a = Serving::start(&one);
    let b = Serving::start(&two);
    let token = one
        .ok("token create --role admin --name ops --expires 1d -q")
        .stdout;
    let ops = [("STELLA_TOKEN", token.trim())];
    let ask = |line: &str| one.run_with(line, &ops);

    let begun = Instant::now();
    loop {
        let all = ask("attest reload --replica all -o json").ends(0).json();
        let names: Vec<_> = all["replicas"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|row| (row["replica"].clone(), row["exit"].clone()))
            .collect();
        if names == [("a".into(), 0.into()), ("b".into(), 0.into())] {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{all}");
        std::thread::sleep(Duration::from_millis(50));
    }
    // Whoever is asked, it is the named one that answers, as if asked itself.
    for (name, s) in [("a", &one), ("b", &two)] {
        let there = ask(&format!("doctor --replica {name} -o json")).ends(0).json();
        let home = s.home().display().to_string();
        assert!(
            there["target"].as_str().expect("a target").contains(&home),
            "{there}"
        );
    }
    let told = ask("crypto hsm status --replica all")
        .ends(3)
        .says("no HSM is configured")
        .stdout;
    let (a, _) = told.split_once("\n\nreplica b (http://127.0.0.1:").expect("both");
    assert!(a.starts_with("replica a (http://127.0.0.1:"), "{told}");
    ask("doctor --replica c").ends(3).says("there are a, b");
    // A token is still needed, there as here.
    one.run("doctor --replica b").ends(4);

    // Somebody else answers at the address: nothing is asked of it.
    let moved = "UPDATE signer.replicas SET url = (SELECT url FROM signer.replicas WHERE name = 'a')";
    b.send(Signal::STOP);
    shared
        .server
        .psql(&shared.database, "postgres", moved)
        .expect("moved");
    ask("attest reload --replica b")
        .ends(6)
        .says("replica a answers there")
        .says("server.advertise");
    b.send(Signal::CONT);
    let begun = Instant::now();
    while ask("attest reload --replica b").code != 0 {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "it does not tell its address again"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    drop(b);
    while !ask("doctor --replica b").stderr.contains("last heard of") {
        assert!(begun.elapsed() < Duration::from_secs(30), "it is not missed");
        std::thread::sleep(Duration::from_millis(100));
    }
    let all = ask("attest reload --replica all -o json").ends(6).json();
    assert_eq!(all["replicas"][0]["exit"], 0, "{all}");
    assert_eq!(all["replicas"][1]["exit"], 6, "{all}");
    assert!(all["replicas"][1]["answer"]["detail"].is_string(), "{all}");
}
