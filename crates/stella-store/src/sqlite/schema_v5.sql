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
