-- Attestations are numbered as they come in, without a gap, and what belongs to
-- one refers to it by that number: an id as text stood in a dozen places. What
-- a digest is found by is a part of it, which is enough to tell a few rows from
-- millions; the whole digest is compared with what is found. Of a subject's it is
-- the end: digests that somebody counts up, as tests do, begin alike.
--
-- These parts are columns, and nothing here calls a function when a row comes
-- in: a statement that has a guard and calls one, or looks at a reference, may
-- fail halfway for all that SQLite knows, and keeps a copy of each page that it
-- touches. How long a digest is the driver sees to, and `db verify`.

CREATE TABLE signer.attestations_v6 (
    entry               INTEGER PRIMARY KEY CHECK (entry > 0),
    id                  TEXT NOT NULL UNIQUE,
    pae                 BLOB NOT NULL,
    -- Its first 8 bytes.
    pae_start           BLOB NOT NULL,
    payload_type        TEXT NOT NULL,
    -- NULL where the envelope holds these very bytes.
    payload             BLOB,
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
    CHECK (payload IS NOT NULL OR envelope IS NOT NULL),
    CHECK ((state = 'signed') = (envelope IS NOT NULL)),
    CHECK ((state = 'signed') = (signed_at IS NOT NULL)),
    CHECK (key_id IS NULL OR state = 'signed')
) STRICT;
INSERT INTO signer.attestations_v6
    (id, pae, pae_start, payload_type, payload, predicate_type, profile, state, requested_by, requested_token,
     requested_authority, created_at, envelope, key_id, signed_at, attempts, last_error,
     last_attempt_at, next_attempt_at, supersedes, imported)
    SELECT id, pae, substr(pae, 1, 8), payload_type, payload, predicate_type, profile, state, requested_by, requested_token,
           requested_authority, created_at, envelope, key_id, signed_at, attempts, last_error,
           last_attempt_at, next_attempt_at, supersedes, imported
    FROM signer.attestations ORDER BY id;

CREATE TABLE signer.subjects (
    attestation INTEGER NOT NULL REFERENCES attestations(entry) DEFERRABLE INITIALLY DEFERRED,
    position    INTEGER NOT NULL,
    name        TEXT,
    algorithm   TEXT NOT NULL,
    digest      TEXT NOT NULL,
    -- Its last 16 characters.
    digest_end  TEXT NOT NULL,
    PRIMARY KEY (attestation, position, algorithm)
) STRICT, WITHOUT ROWID;
INSERT INTO signer.subjects
    SELECT a.entry, s.position, s.name, s.algorithm, s.digest, substr(s.digest, -16)
    FROM signer.attestation_subjects s JOIN signer.attestations_v6 a ON a.id = s.attestation_id
    ORDER BY a.entry, s.position, s.algorithm;

CREATE TABLE signer.ledger_entries (
    entry        INTEGER PRIMARY KEY CHECK (entry > 0),
    attestation  INTEGER NOT NULL REFERENCES attestations(entry) DEFERRABLE INITIALLY DEFERRED,
    spki         BLOB NOT NULL,
    signature    BLOB NOT NULL,
    signed_at    TEXT NOT NULL,
    requested_by TEXT NOT NULL,
    bytes        BLOB NOT NULL
) STRICT;
INSERT INTO signer.ledger_entries
    SELECT l.entry, a.entry, l.spki, l.signature, l.signed_at, l.requested_by, l.bytes
    FROM signer.ledger l JOIN signer.attestations_v6 a ON a.id = l.attestation_id
    ORDER BY l.entry;

DROP TABLE signer.ledger;
DROP TABLE signer.attestation_subjects;
DROP TABLE signer.attestations;
ALTER TABLE signer.attestations_v6 RENAME TO attestations;

CREATE INDEX signer.idx_attestations_pae ON attestations (pae_start);
CREATE INDEX signer.idx_attestations_identity ON attestations (requested_by, id);
CREATE INDEX signer.idx_attestations_key ON attestations (key_id, id);
CREATE INDEX signer.idx_attestations_type ON attestations (predicate_type, id);
CREATE INDEX signer.idx_attestations_unsigned ON attestations (id) WHERE state <> 'signed';
CREATE INDEX signer.idx_attestations_imported ON attestations (id) WHERE imported <> 0;
CREATE INDEX signer.idx_subjects_digest ON subjects (digest_end);
CREATE INDEX signer.idx_subjects_name ON subjects (name);
CREATE INDEX signer.idx_ledger_attestation ON ledger_entries (attestation);

-- As they were, for whoever reads them.

CREATE VIEW signer.attestation_subjects AS
    SELECT a.id AS attestation_id, s.position, s.name, s.algorithm, s.digest
    FROM subjects s JOIN attestations a ON a.entry = s.attestation;
CREATE VIEW signer.ledger AS
    SELECT l.entry, a.pae, l.spki, l.signature, l.signed_at, a.id AS attestation_id, l.requested_by, l.bytes
    FROM ledger_entries l JOIN attestations a ON a.entry = l.attestation;

-- Guards. They fail without undoing: a row is refused before anything of it is
-- written, so there is nothing to undo, and no copy of pages to keep for that.

CREATE TRIGGER signer.ledger_no_update BEFORE UPDATE ON ledger_entries
BEGIN SELECT RAISE(ABORT, 'ledger is append-only'); END;
CREATE TRIGGER signer.ledger_no_delete BEFORE DELETE ON ledger_entries
BEGIN SELECT RAISE(ABORT, 'ledger is append-only'); END;
CREATE TRIGGER signer.ledger_no_replace BEFORE INSERT ON ledger_entries
WHEN EXISTS (SELECT 1 FROM ledger_entries WHERE entry = NEW.entry)
BEGIN SELECT RAISE(FAIL, 'ledger is append-only'); END;

CREATE TRIGGER signer.attestations_no_delete BEFORE DELETE ON attestations
BEGIN SELECT RAISE(ABORT, 'attestations are never deleted'); END;
CREATE TRIGGER signer.attestations_no_replace BEFORE INSERT ON attestations
WHEN EXISTS (SELECT 1 FROM attestations WHERE id = NEW.id)
  OR EXISTS (SELECT 1 FROM attestations WHERE entry = NEW.entry)
BEGIN SELECT RAISE(FAIL, 'an attestation with this id exists'); END;
CREATE TRIGGER signer.attestations_content BEFORE UPDATE ON attestations
WHEN OLD.entry IS NOT NEW.entry OR OLD.id IS NOT NEW.id OR OLD.pae IS NOT NEW.pae
  OR OLD.pae_start IS NOT NEW.pae_start
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

CREATE TRIGGER signer.subjects_no_update BEFORE UPDATE ON subjects
BEGIN SELECT RAISE(ABORT, 'the subjects of an attestation never change'); END;
CREATE TRIGGER signer.subjects_no_delete BEFORE DELETE ON subjects
BEGIN SELECT RAISE(ABORT, 'the subjects of an attestation never change'); END;
