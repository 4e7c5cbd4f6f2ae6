-- Who works on which unsigned record, and until when nobody else takes it. A
-- fence is given once: who held the record before holds it no more.

CREATE TABLE signer.signing_claims (
    attestation_id UUID PRIMARY KEY REFERENCES signer.attestations(id),
    replica        TEXT NOT NULL,
    fence          BIGINT GENERATED ALWAYS AS IDENTITY UNIQUE,
    expires_at     TIMESTAMPTZ NOT NULL
);

-- The queue is read from its oldest record on.
CREATE INDEX idx_attestations_unsigned ON signer.attestations (id) WHERE state <> 'signed';

-- Which attestations of an ended key were judged anew since.

CREATE TABLE signer.rescans (
    key_id    TEXT PRIMARY KEY,
    event     BIGINT NOT NULL,
    imports   BOOLEAN NOT NULL,
    before_id UUID,
    judged    BIGINT NOT NULL,
    flipped   BIGINT NOT NULL,
    began_at  TIMESTAMPTZ NOT NULL,
    ended_at  TIMESTAMPTZ
);

CREATE INDEX idx_attestations_imported ON signer.attestations (id) WHERE imported;

-- The servers that share this store, as each told of itself. Digests of
-- settings, never their values.

CREATE TABLE signer.replicas (
    name       TEXT PRIMARY KEY CHECK (name <> ''),
    process    UUID NOT NULL,
    version    TEXT NOT NULL,
    settings   JSON NOT NULL,
    unable     JSON NOT NULL,
    started_at TIMESTAMPTZ NOT NULL,
    seen_at    TIMESTAMPTZ NOT NULL,
    url        TEXT
);

-- A rare kind of event, and what one of many did, are found without a look at
-- all of the others.
CREATE INDEX idx_audit_log_type ON signer.key_audit_log (event_type, sequence);
CREATE INDEX idx_audit_log_actor ON signer.key_audit_log (actor, sequence);
