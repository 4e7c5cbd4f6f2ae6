-- The schema of the key-rotation runbook, and what the product adds to it.
-- Rows are laid out so that replicas can work on them side by side: a head
-- that one transaction at a time moves, and a queue ordered by next_attempt_at.

CREATE TABLE signer.meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

-- The event log: the one source of truth for keys and anchors.

CREATE TABLE signer.key_audit_log (
    event_id   UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    event_type TEXT NOT NULL,
    key_id     TEXT,
    anchor_id  UUID,
    actor      TEXT NOT NULL,
    timestamp  TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    details    JSONB,
    sequence   BIGINT NOT NULL UNIQUE CHECK (sequence > 0),
    bytes      BYTEA NOT NULL
);
CREATE INDEX idx_audit_log_time ON signer.key_audit_log (timestamp DESC);
CREATE INDEX idx_audit_log_key ON signer.key_audit_log (key_id);
CREATE INDEX idx_audit_log_anchor ON signer.key_audit_log (anchor_id);

CREATE TABLE signer.event_chain (
    commit_id      BIGINT PRIMARY KEY CHECK (commit_id > 0),
    first_sequence BIGINT,
    last_sequence  BIGINT,
    first_entry    BIGINT,
    last_entry     BIGINT,
    head           BYTEA NOT NULL CHECK (length(head) = 32),
    CHECK ((first_sequence IS NULL) = (last_sequence IS NULL)),
    CHECK ((first_entry IS NULL) = (last_entry IS NULL))
);
CREATE INDEX idx_event_chain_sequence ON signer.event_chain (last_sequence);

-- Projections of the events. They can be rebuilt.

CREATE TABLE signer.trust_anchors (
    id                      UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    purl_pattern            TEXT NOT NULL,
    status                  TEXT NOT NULL,
    policy_version          TEXT NOT NULL,
    allowed_keyids          JSONB NOT NULL,
    revoked_keys            JSONB NOT NULL,
    allowed_predicate_types JSONB,
    policy                  JSONB NOT NULL,
    created_at              TIMESTAMPTZ NOT NULL
);
CREATE INDEX idx_trust_anchors_pattern ON signer.trust_anchors (purl_pattern);

CREATE TABLE signer.key_history (
    id            UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    anchor_id     UUID NOT NULL REFERENCES signer.trust_anchors(id),
    key_id        TEXT NOT NULL,
    public_key    TEXT NOT NULL,
    algorithm     TEXT NOT NULL,
    added_at      TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    revoked_at    TIMESTAMPTZ,
    revoke_reason TEXT,
    metadata      JSONB,
    position      BIGINT NOT NULL,
    UNIQUE (anchor_id, key_id)
);
CREATE INDEX idx_key_history_validity ON signer.key_history (anchor_id, added_at, revoked_at);

CREATE TABLE signer.signing_keys (
    key_id         TEXT PRIMARY KEY,
    public_key     TEXT NOT NULL,
    fingerprint    BYTEA NOT NULL UNIQUE,
    algorithm      TEXT NOT NULL,
    key_type       TEXT NOT NULL,
    created_at     TIMESTAMPTZ,
    entered_at     TIMESTAMPTZ NOT NULL,
    profile        TEXT,
    store          TEXT,
    not_after      TIMESTAMPTZ,
    phase          TEXT,
    retiring_until TIMESTAMPTZ,
    revocation     JSONB,
    version        BIGINT NOT NULL
);

CREATE TABLE signer.sealed_keys (
    key_id TEXT PRIMARY KEY,
    blob   BYTEA NOT NULL
);

-- Attestations and the ledger of signatures made here.

CREATE TABLE signer.attestations (
    id                  UUID PRIMARY KEY,
    pae                 BYTEA NOT NULL CHECK (length(pae) = 32),
    payload_type        TEXT NOT NULL,
    -- absent where the envelope came with the row: it is in there
    payload             BYTEA,
    predicate_type      TEXT NOT NULL,
    profile             TEXT,
    state               TEXT NOT NULL CHECK (state IN ('recorded', 'signed', 'failed', 'held')),
    requested_by        TEXT NOT NULL,
    requested_token     UUID,
    requested_authority JSON NOT NULL,
    created_at          TIMESTAMPTZ NOT NULL,
    envelope            BYTEA,
    key_id              TEXT,
    signed_at           TIMESTAMPTZ,
    attempts            BIGINT NOT NULL,
    last_error          TEXT,
    last_attempt_at     TIMESTAMPTZ,
    next_attempt_at     TIMESTAMPTZ,
    supersedes          UUID,
    imported            BOOLEAN NOT NULL,
    CHECK ((state = 'signed') = (envelope IS NOT NULL)),
    CHECK ((state = 'signed') = (signed_at IS NOT NULL)),
    CHECK (key_id IS NULL OR state = 'signed'),
    CHECK (payload IS NOT NULL OR envelope IS NOT NULL)
);
-- A row stays in one piece up to a page: pieces are written and indexed one by
-- one, and base64 is hardly worth compressing.
ALTER TABLE signer.attestations SET (toast_tuple_target = 8160);
CREATE INDEX idx_attestations_pae ON signer.attestations (pae);
CREATE INDEX idx_attestations_state ON signer.attestations (state, created_at);
CREATE INDEX idx_attestations_identity ON signer.attestations (requested_by, id);
CREATE INDEX idx_attestations_key ON signer.attestations (key_id, id);
CREATE INDEX idx_attestations_type ON signer.attestations (predicate_type, id);
CREATE INDEX idx_attestations_due ON signer.attestations (next_attempt_at, id) WHERE state = 'recorded';

CREATE TABLE signer.attestation_subjects (
    attestation_id UUID NOT NULL,
    position       BIGINT NOT NULL,
    name           TEXT,
    algorithm      TEXT NOT NULL,
    digest         TEXT NOT NULL,
    PRIMARY KEY (attestation_id, position, algorithm)
);
-- Of a digest this much tells it from others, and a name may be longer than a
-- B-tree takes.
CREATE INDEX idx_subjects_digest ON signer.attestation_subjects (right(digest, 16));
CREATE INDEX idx_subjects_name ON signer.attestation_subjects (left(name, 200));

CREATE TABLE signer.ledger (
    entry          BIGINT PRIMARY KEY CHECK (entry > 0),
    pae            BYTEA NOT NULL CHECK (length(pae) = 32),
    spki           BYTEA NOT NULL CHECK (length(spki) = 32),
    signature      BYTEA NOT NULL CHECK (length(signature) = 32),
    signed_at      TIMESTAMPTZ NOT NULL,
    attestation_id UUID NOT NULL UNIQUE,
    requested_by   TEXT NOT NULL,
    bytes          BYTEA NOT NULL
);

CREATE TABLE signer.idempotency (
    identity     TEXT NOT NULL,
    key          TEXT NOT NULL,
    request      BYTEA NOT NULL CHECK (length(request) = 32),
    attestations JSON NOT NULL,
    at           TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (identity, key)
);

CREATE TABLE signer.verdicts (
    anchor_id      UUID NOT NULL,
    attestation_id UUID NOT NULL,
    policy_version TEXT NOT NULL,
    verdict        TEXT NOT NULL,
    code           TEXT NOT NULL,
    at             TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (anchor_id, attestation_id)
);

-- Proof bundles by their address. Part 0 is the spine.

CREATE TABLE signer.proofs (
    entry      BIGINT PRIMARY KEY CHECK (entry > 0),
    address    BYTEA NOT NULL UNIQUE CHECK (length(address) = 32),
    created_by TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE signer.proof_parts (
    address        BYTEA NOT NULL REFERENCES signer.proofs(address),
    part           BIGINT NOT NULL CHECK (part >= 0),
    position       BIGINT NOT NULL CHECK (position >= 0),
    attestation_id UUID NOT NULL REFERENCES signer.attestations(id),
    PRIMARY KEY (address, part, position)
);
CREATE INDEX idx_proof_parts_attestation ON signer.proof_parts (attestation_id);

CREATE TABLE signer.tokens (
    id           UUID PRIMARY KEY,
    name         TEXT NOT NULL,
    hash         BYTEA NOT NULL UNIQUE CHECK (length(hash) = 32),
    authority    JSON NOT NULL,
    created_at   TIMESTAMPTZ NOT NULL,
    created_by   TEXT NOT NULL,
    expires_at   TIMESTAMPTZ NOT NULL,
    revoked_at   TIMESTAMPTZ,
    last_used_at TIMESTAMPTZ
);

-- Of a PIN that a hardware token refused there is only a slow, salted hash.

CREATE TABLE signer.refused_pins (
    token_serial TEXT NOT NULL CHECK (token_serial <> ''),
    salt         BYTEA NOT NULL CHECK (length(salt) = 16),
    hash         BYTEA NOT NULL CHECK (length(hash) = 32),
    refused_at   TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (token_serial, salt)
);

CREATE TABLE signer.unanswered_logins (
    token_serial TEXT PRIMARY KEY CHECK (token_serial <> ''),
    tries        BIGINT NOT NULL CHECK (tries > 0),
    last_at      TIMESTAMPTZ NOT NULL
);

CREATE TABLE signer.operations_log (
    line      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at        TIMESTAMPTZ NOT NULL,
    level     TEXT NOT NULL,
    component TEXT NOT NULL,
    message   TEXT NOT NULL,
    fields    JSON NOT NULL,
    -- component and message in lower case, for searching
    folded    TEXT NOT NULL
);
CREATE INDEX idx_operations_log_time ON signer.operations_log (at);

-- Guards, for every role, the owner too.

CREATE FUNCTION signer.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END $$;

DO $$
DECLARE guarded TEXT;
BEGIN
    FOREACH guarded IN ARRAY ARRAY[
        'key_audit_log', 'event_chain', 'ledger', 'attestation_subjects', 'proofs', 'proof_parts'
    ] LOOP
        EXECUTE format('CREATE TRIGGER %I BEFORE UPDATE OR DELETE ON signer.%I
            FOR EACH ROW EXECUTE FUNCTION signer.refuse_change()', guarded || '_append_only', guarded);
        EXECUTE format('CREATE TRIGGER %I BEFORE TRUNCATE ON signer.%I
            FOR EACH STATEMENT EXECUTE FUNCTION signer.refuse_change()', guarded || '_no_truncate', guarded);
    END LOOP;
END $$;

CREATE TRIGGER attestations_no_delete BEFORE DELETE ON signer.attestations
    FOR EACH ROW EXECUTE FUNCTION signer.refuse_change();
CREATE TRIGGER attestations_no_truncate BEFORE TRUNCATE ON signer.attestations
    FOR EACH STATEMENT EXECUTE FUNCTION signer.refuse_change();

CREATE FUNCTION signer.guard_attestation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.id, OLD.pae, OLD.payload_type, OLD.payload, OLD.predicate_type, OLD.profile, OLD.requested_by,
        OLD.requested_token, OLD.requested_authority::text, OLD.created_at, OLD.supersedes, OLD.imported)
       IS DISTINCT FROM
       (NEW.id, NEW.pae, NEW.payload_type, NEW.payload, NEW.predicate_type, NEW.profile, NEW.requested_by,
        NEW.requested_token, NEW.requested_authority::text, NEW.created_at, NEW.supersedes, NEW.imported)
    THEN
        RAISE EXCEPTION 'the content of an attestation never changes'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF OLD.state = 'signed' AND (OLD.state, OLD.envelope, OLD.key_id, OLD.signed_at)
       IS DISTINCT FROM (NEW.state, NEW.envelope, NEW.key_id, NEW.signed_at)
    THEN
        RAISE EXCEPTION 'a signed attestation never changes'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER attestations_content BEFORE UPDATE ON signer.attestations
    FOR EACH ROW EXECUTE FUNCTION signer.guard_attestation();

-- That what speaks about an attestation has one: for all rows of a statement at
-- once, where a foreign key asks and locks row by row. None is ever deleted.
CREATE FUNCTION signer.refuse_strangers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM added
               WHERE (SELECT id FROM signer.attestations WHERE id = added.attestation_id) IS NULL)
    THEN
        RAISE EXCEPTION '% speaks about no attestation that there is', TG_TABLE_NAME
            USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER ledger_of_attestations AFTER INSERT ON signer.ledger
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION signer.refuse_strangers();
CREATE TRIGGER subjects_of_attestations AFTER INSERT ON signer.attestation_subjects
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION signer.refuse_strangers();
