-- Who works on which unsigned record, and until when nobody else takes it. A
-- fence is given once: who held the record before holds it no more.

CREATE TABLE signer.signing_claims (
    fence          INTEGER PRIMARY KEY AUTOINCREMENT,
    attestation_id TEXT NOT NULL UNIQUE REFERENCES attestations(id),
    replica        TEXT NOT NULL,
    expires_at     TEXT NOT NULL
) STRICT;

-- The queue is read from its oldest record on.
CREATE INDEX signer.idx_attestations_unsigned ON attestations (id) WHERE state <> 'signed';

-- Which attestations of an ended key were judged anew since.

CREATE TABLE signer.rescans (
    key_id    TEXT NOT NULL PRIMARY KEY,
    event     INTEGER NOT NULL,
    imports   INTEGER NOT NULL,
    before_id TEXT,
    judged    INTEGER NOT NULL,
    flipped   INTEGER NOT NULL,
    began_at  TEXT NOT NULL,
    ended_at  TEXT
) STRICT, WITHOUT ROWID;

CREATE INDEX signer.idx_attestations_imported ON attestations (id) WHERE imported <> 0;

-- The servers that share this store, as each told of itself. Digests of
-- settings, never their values.

CREATE TABLE signer.replicas (
    name       TEXT NOT NULL PRIMARY KEY CHECK (name <> ''),
    process    TEXT NOT NULL,
    version    TEXT NOT NULL,
    settings   TEXT NOT NULL,
    unable     TEXT NOT NULL,
    started_at TEXT NOT NULL,
    seen_at    TEXT NOT NULL,
    url        TEXT
) STRICT, WITHOUT ROWID;

-- A rare kind of event, and what one of many did, are found without a look at
-- all of the others.
CREATE INDEX signer.idx_audit_log_type ON key_audit_log (event_type);
CREATE INDEX signer.idx_audit_log_actor ON key_audit_log (actor);
