-- The event log. `bytes` is what the hash chain covers; the other columns
-- repeat it for people and their queries.
CREATE TABLE signer.key_audit_log (
    sequence   INTEGER PRIMARY KEY,
    event_id   TEXT NOT NULL UNIQUE,
    event_type TEXT NOT NULL,
    key_id     TEXT,
    anchor_id  TEXT,
    actor      TEXT NOT NULL,
    timestamp  TEXT NOT NULL,
    details    TEXT,
    bytes      BLOB NOT NULL
) STRICT;
CREATE INDEX signer.idx_audit_log_time ON key_audit_log (timestamp DESC);
CREATE INDEX signer.idx_audit_log_key ON key_audit_log (key_id);

CREATE TABLE signer.event_chain (
    position    INTEGER PRIMARY KEY,
    last_event  INTEGER,
    last_ledger INTEGER,
    layout      TEXT NOT NULL,
    head        TEXT NOT NULL
) STRICT;

-- Projections of the event log: `db verify` compares them with the fold.
CREATE TABLE signer.signing_keys (
    key_id   TEXT PRIMARY KEY,
    version  INTEGER NOT NULL,
    document TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE signer.trust_anchors (
    id             TEXT PRIMARY KEY,
    purl_pattern   TEXT NOT NULL,
    status         TEXT NOT NULL,
    policy_version TEXT NOT NULL,
    policy         TEXT NOT NULL,
    created_at     TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE signer.key_history (
    id            TEXT PRIMARY KEY,
    anchor_id     TEXT NOT NULL REFERENCES trust_anchors (id),
    key_id        TEXT NOT NULL,
    public_key    TEXT NOT NULL,
    algorithm     TEXT NOT NULL,
    added_at      TEXT NOT NULL,
    expires_at    TEXT,
    revoked_at    TEXT,
    revoke_reason TEXT,
    metadata      TEXT,
    UNIQUE (anchor_id, key_id)
) STRICT;
CREATE INDEX signer.idx_key_history_validity ON key_history (anchor_id, added_at, revoked_at);

CREATE TABLE signer.sealed_keys (
    key_id TEXT PRIMARY KEY,
    blob   BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE signer.attestations (
    id              TEXT PRIMARY KEY,
    pae             TEXT NOT NULL,
    payload_type    TEXT NOT NULL,
    payload         BLOB NOT NULL,
    predicate_type  TEXT NOT NULL,
    profile         TEXT,
    state           TEXT NOT NULL CHECK (state IN ('recorded', 'signed', 'failed', 'held')),
    identity        TEXT NOT NULL,
    token_id        TEXT,
    authority       TEXT NOT NULL,
    created_at      TEXT NOT NULL,
    envelope        BLOB,
    key_id          TEXT,
    signed_at       TEXT,
    attempts        INTEGER NOT NULL DEFAULT 0,
    last_error      TEXT,
    last_attempt_at TEXT,
    next_attempt_at TEXT,
    supersedes      TEXT,
    imported        INTEGER NOT NULL,
    CHECK ((state = 'signed') = (envelope IS NOT NULL)),
    CHECK ((envelope IS NULL) = (signed_at IS NULL))
) STRICT;
CREATE INDEX signer.idx_attestations_pae ON attestations (pae);
CREATE INDEX signer.idx_attestations_key ON attestations (key_id, id);
CREATE INDEX signer.idx_attestations_identity ON attestations (identity, id);
CREATE INDEX signer.idx_attestations_open ON attestations (created_at) WHERE state <> 'signed';

CREATE TABLE signer.attestation_subjects (
    attestation_id TEXT NOT NULL REFERENCES attestations (id),
    position       INTEGER NOT NULL,
    name           TEXT,
    algorithm      TEXT NOT NULL,
    digest         TEXT NOT NULL,
    PRIMARY KEY (attestation_id, position, algorithm)
) STRICT, WITHOUT ROWID;
CREATE INDEX signer.idx_subjects_digest ON attestation_subjects (digest, algorithm, attestation_id);
CREATE INDEX signer.idx_subjects_name ON attestation_subjects (name, attestation_id);

-- Every signature this server made. An import never enters it.
CREATE TABLE signer.ledger (
    row            INTEGER PRIMARY KEY,
    pae            TEXT NOT NULL,
    spki           TEXT NOT NULL,
    signature      TEXT NOT NULL,
    signed_at      TEXT NOT NULL,
    attestation_id TEXT NOT NULL REFERENCES attestations (id),
    requested_by   TEXT NOT NULL,
    UNIQUE (pae, spki, signature)
) STRICT;

CREATE TABLE signer.idempotency (
    identity     TEXT NOT NULL,
    key          TEXT NOT NULL,
    request      TEXT NOT NULL,
    attestations TEXT NOT NULL,
    at           TEXT NOT NULL,
    PRIMARY KEY (identity, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE signer.verdicts (
    anchor_id      TEXT NOT NULL,
    attestation_id TEXT NOT NULL,
    policy_version TEXT NOT NULL,
    verdict        TEXT NOT NULL,
    code           TEXT NOT NULL,
    at             TEXT NOT NULL,
    PRIMARY KEY (anchor_id, attestation_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE signer.tokens (
    id           TEXT PRIMARY KEY,
    name         TEXT NOT NULL,
    hash         TEXT NOT NULL UNIQUE,
    authority    TEXT NOT NULL,
    created_at   TEXT NOT NULL,
    created_by   TEXT NOT NULL,
    expires_at   TEXT NOT NULL,
    revoked_at   TEXT,
    last_used_at TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE signer.operations_log (
    row       INTEGER PRIMARY KEY,
    at        TEXT NOT NULL,
    level     TEXT NOT NULL,
    component TEXT NOT NULL,
    message   TEXT NOT NULL,
    fields    TEXT NOT NULL
) STRICT;
CREATE INDEX signer.idx_operations_log_at ON operations_log (at);

-- What is written once stays as it was written.
CREATE TRIGGER signer.audit_no_update BEFORE UPDATE ON key_audit_log
BEGIN SELECT RAISE(ABORT, 'key_audit_log is append-only'); END;
CREATE TRIGGER signer.audit_no_delete BEFORE DELETE ON key_audit_log
BEGIN SELECT RAISE(ABORT, 'key_audit_log is append-only'); END;
CREATE TRIGGER signer.chain_no_update BEFORE UPDATE ON event_chain
BEGIN SELECT RAISE(ABORT, 'event_chain is append-only'); END;
CREATE TRIGGER signer.chain_no_delete BEFORE DELETE ON event_chain
BEGIN SELECT RAISE(ABORT, 'event_chain is append-only'); END;
CREATE TRIGGER signer.ledger_no_update BEFORE UPDATE ON ledger
BEGIN SELECT RAISE(ABORT, 'ledger is append-only'); END;
CREATE TRIGGER signer.ledger_no_delete BEFORE DELETE ON ledger
BEGIN SELECT RAISE(ABORT, 'ledger is append-only'); END;
CREATE TRIGGER signer.sealed_no_update BEFORE UPDATE ON sealed_keys
BEGIN SELECT RAISE(ABORT, 'a sealed key never changes'); END;
CREATE TRIGGER signer.sealed_no_delete BEFORE DELETE ON sealed_keys
BEGIN SELECT RAISE(ABORT, 'a sealed key is never deleted'); END;
CREATE TRIGGER signer.attestation_no_delete BEFORE DELETE ON attestations
BEGIN SELECT RAISE(ABORT, 'an attestation is never deleted'); END;
CREATE TRIGGER signer.attestation_fixed BEFORE UPDATE OF id, pae, payload_type, payload, predicate_type, identity, token_id, authority, created_at, supersedes, imported ON attestations
BEGIN SELECT RAISE(ABORT, 'what an attestation says never changes'); END;
CREATE TRIGGER signer.envelope_fixed BEFORE UPDATE ON attestations WHEN OLD.state = 'signed'
BEGIN SELECT RAISE(ABORT, 'a signed envelope is immutable'); END;
