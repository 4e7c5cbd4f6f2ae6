-- Times are UTC text of fixed width, so that text order is time order.

CREATE TABLE signer.meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

-- The event log: the one source of truth for keys and anchors.

CREATE TABLE signer.key_audit_log (
    sequence   INTEGER PRIMARY KEY CHECK (sequence > 0),
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
CREATE INDEX signer.idx_audit_log_anchor ON key_audit_log (anchor_id);

CREATE TABLE signer.event_chain (
    commit_id      INTEGER PRIMARY KEY,
    first_sequence INTEGER,
    last_sequence  INTEGER,
    first_entry    INTEGER,
    last_entry     INTEGER,
    head           BLOB NOT NULL CHECK (length(head) = 32),
    CHECK ((first_sequence IS NULL) = (last_sequence IS NULL)),
    CHECK ((first_entry IS NULL) = (last_entry IS NULL))
) STRICT;

-- Projections of the events. They can be rebuilt.

CREATE TABLE signer.trust_anchors (
    id                      TEXT PRIMARY KEY,
    purl_pattern            TEXT NOT NULL,
    status                  TEXT NOT NULL,
    policy_version          TEXT NOT NULL,
    allowed_keyids          TEXT NOT NULL,
    revoked_keys            TEXT NOT NULL,
    allowed_predicate_types TEXT,
    policy                  TEXT NOT NULL,
    created_at              TEXT NOT NULL
) STRICT;
CREATE INDEX signer.idx_trust_anchors_pattern ON trust_anchors (purl_pattern);

CREATE TABLE signer.key_history (
    id            TEXT PRIMARY KEY,
    anchor_id     TEXT NOT NULL REFERENCES trust_anchors(id),
    key_id        TEXT NOT NULL,
    public_key    TEXT NOT NULL,
    algorithm     TEXT NOT NULL,
    added_at      TEXT NOT NULL,
    revoked_at    TEXT,
    revoke_reason TEXT,
    metadata      TEXT,
    position      INTEGER NOT NULL,
    UNIQUE (anchor_id, key_id)
) STRICT;
CREATE INDEX signer.idx_key_history_validity ON key_history (anchor_id, added_at, revoked_at);

CREATE TABLE signer.signing_keys (
    key_id         TEXT PRIMARY KEY,
    public_key     TEXT NOT NULL,
    fingerprint    BLOB NOT NULL UNIQUE,
    algorithm      TEXT NOT NULL,
    key_type       TEXT NOT NULL,
    created_at     TEXT,
    entered_at     TEXT NOT NULL,
    profile        TEXT,
    store          TEXT,
    not_after      TEXT,
    phase          TEXT,
    retiring_until TEXT,
    revocation     TEXT,
    version        INTEGER NOT NULL
) STRICT;

CREATE TABLE signer.sealed_keys (
    key_id TEXT PRIMARY KEY,
    blob   BLOB NOT NULL
) STRICT;

-- Attestations and the ledger of signatures made here.

CREATE TABLE signer.attestations (
    id                  TEXT PRIMARY KEY,
    pae                 BLOB NOT NULL CHECK (length(pae) = 32),
    payload_type        TEXT NOT NULL,
    payload             BLOB NOT NULL,
    predicate_type      TEXT NOT NULL,
    profile             TEXT,
    state               TEXT NOT NULL CHECK (state IN ('recorded', 'signed', 'failed', 'held')),
    requested_by        TEXT NOT NULL,
    requested_token     TEXT,
    requested_authority TEXT NOT NULL,
    created_at          TEXT NOT NULL,
    envelope            BLOB,
    key_id              TEXT,
    signed_at           TEXT,
    attempts            INTEGER NOT NULL,
    last_error          TEXT,
    last_attempt_at     TEXT,
    next_attempt_at     TEXT,
    supersedes          TEXT,
    imported            INTEGER NOT NULL CHECK (imported IN (0, 1)),
    CHECK ((state = 'signed') = (envelope IS NOT NULL)),
    CHECK ((state = 'signed') = (signed_at IS NOT NULL)),
    CHECK (key_id IS NULL OR state = 'signed')
) STRICT;
CREATE INDEX signer.idx_attestations_pae ON attestations (pae);
CREATE INDEX signer.idx_attestations_state ON attestations (state, created_at);
CREATE INDEX signer.idx_attestations_identity ON attestations (requested_by, id);
CREATE INDEX signer.idx_attestations_key ON attestations (key_id, id);
CREATE INDEX signer.idx_attestations_type ON attestations (predicate_type, id);

CREATE TABLE signer.attestation_subjects (
    attestation_id TEXT NOT NULL REFERENCES attestations(id),
    position       INTEGER NOT NULL,
    name           TEXT,
    algorithm      TEXT NOT NULL,
    digest         TEXT NOT NULL,
    PRIMARY KEY (attestation_id, position, algorithm)
) STRICT, WITHOUT ROWID;
CREATE INDEX signer.idx_subjects_digest ON attestation_subjects (algorithm, digest, attestation_id);
CREATE INDEX signer.idx_subjects_name ON attestation_subjects (name, attestation_id);

CREATE TABLE signer.ledger (
    entry          INTEGER PRIMARY KEY CHECK (entry > 0),
    pae            BLOB NOT NULL CHECK (length(pae) = 32),
    spki           BLOB NOT NULL CHECK (length(spki) = 32),
    signature      BLOB NOT NULL CHECK (length(signature) = 32),
    signed_at      TEXT NOT NULL,
    attestation_id TEXT NOT NULL REFERENCES attestations(id),
    requested_by   TEXT NOT NULL,
    bytes          BLOB NOT NULL,
    UNIQUE (pae, spki, signature)
) STRICT;
CREATE INDEX signer.idx_ledger_attestation ON ledger (attestation_id);

CREATE TABLE signer.idempotency (
    identity     TEXT NOT NULL,
    key          TEXT NOT NULL,
    request      BLOB NOT NULL CHECK (length(request) = 32),
    attestations TEXT NOT NULL,
    at           TEXT NOT NULL,
    PRIMARY KEY (identity, key)
) STRICT;

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
    hash         BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    authority    TEXT NOT NULL,
    created_at   TEXT NOT NULL,
    created_by   TEXT NOT NULL,
    expires_at   TEXT NOT NULL,
    revoked_at   TEXT,
    last_used_at TEXT
) STRICT;

CREATE TABLE signer.operations_log (
    line      INTEGER PRIMARY KEY,
    at        TEXT NOT NULL,
    level     TEXT NOT NULL,
    component TEXT NOT NULL,
    message   TEXT NOT NULL,
    fields    TEXT NOT NULL,
    -- component and message in lower case, for searching
    folded    TEXT NOT NULL
) STRICT;
CREATE INDEX signer.idx_operations_log_time ON operations_log (at);

-- Guards. INSERT is guarded too: INSERT OR REPLACE deletes without firing
-- delete triggers on a connection that does not ask for it.

CREATE TRIGGER signer.key_audit_log_no_update BEFORE UPDATE ON key_audit_log
BEGIN SELECT RAISE(ABORT, 'key_audit_log is append-only'); END;
CREATE TRIGGER signer.key_audit_log_no_delete BEFORE DELETE ON key_audit_log
BEGIN SELECT RAISE(ABORT, 'key_audit_log is append-only'); END;
CREATE TRIGGER signer.key_audit_log_no_replace BEFORE INSERT ON key_audit_log
WHEN EXISTS (SELECT 1 FROM key_audit_log WHERE sequence = NEW.sequence OR event_id = NEW.event_id)
BEGIN SELECT RAISE(ABORT, 'key_audit_log is append-only'); END;

CREATE TRIGGER signer.event_chain_no_update BEFORE UPDATE ON event_chain
BEGIN SELECT RAISE(ABORT, 'event_chain is append-only'); END;
CREATE TRIGGER signer.event_chain_no_delete BEFORE DELETE ON event_chain
BEGIN SELECT RAISE(ABORT, 'event_chain is append-only'); END;
CREATE TRIGGER signer.event_chain_no_replace BEFORE INSERT ON event_chain
WHEN EXISTS (SELECT 1 FROM event_chain WHERE commit_id = NEW.commit_id)
BEGIN SELECT RAISE(ABORT, 'event_chain is append-only'); END;

CREATE TRIGGER signer.ledger_no_update BEFORE UPDATE ON ledger
BEGIN SELECT RAISE(ABORT, 'ledger is append-only'); END;
CREATE TRIGGER signer.ledger_no_delete BEFORE DELETE ON ledger
BEGIN SELECT RAISE(ABORT, 'ledger is append-only'); END;
CREATE TRIGGER signer.ledger_no_replace BEFORE INSERT ON ledger
WHEN EXISTS (SELECT 1 FROM ledger WHERE entry = NEW.entry
             OR (pae = NEW.pae AND spki = NEW.spki AND signature = NEW.signature))
BEGIN SELECT RAISE(ABORT, 'ledger is append-only'); END;

CREATE TRIGGER signer.attestations_no_delete BEFORE DELETE ON attestations
BEGIN SELECT RAISE(ABORT, 'attestations are never deleted'); END;
CREATE TRIGGER signer.attestations_no_replace BEFORE INSERT ON attestations
WHEN EXISTS (SELECT 1 FROM attestations WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'an attestation with this id exists'); END;
CREATE TRIGGER signer.attestations_content BEFORE UPDATE ON attestations
WHEN OLD.id IS NOT NEW.id OR OLD.pae IS NOT NEW.pae
  OR OLD.payload_type IS NOT NEW.payload_type OR OLD.payload IS NOT NEW.payload
  OR OLD.predicate_type IS NOT NEW.predicate_type OR OLD.profile IS NOT NEW.profile
  OR OLD.requested_by IS NOT NEW.requested_by OR OLD.requested_token IS NOT NEW.requested_token
  OR OLD.requested_authority IS NOT NEW.requested_authority
  OR OLD.created_at IS NOT NEW.created_at OR OLD.supersedes IS NOT NEW.supersedes
  OR OLD.imported IS NOT NEW.imported
BEGIN SELECT RAISE(ABORT, 'the content of an attestation never changes'); END;
CREATE TRIGGER signer.attestations_signed BEFORE UPDATE ON attestations
WHEN OLD.state = 'signed'
 AND (NEW.state IS NOT OLD.state OR NEW.envelope IS NOT OLD.envelope
      OR NEW.key_id IS NOT OLD.key_id OR NEW.signed_at IS NOT OLD.signed_at)
BEGIN SELECT RAISE(ABORT, 'a signed attestation never changes'); END;

CREATE TRIGGER signer.attestation_subjects_no_update BEFORE UPDATE ON attestation_subjects
BEGIN SELECT RAISE(ABORT, 'the subjects of an attestation never change'); END;
CREATE TRIGGER signer.attestation_subjects_no_delete BEFORE DELETE ON attestation_subjects
BEGIN SELECT RAISE(ABORT, 'the subjects of an attestation never change'); END;
