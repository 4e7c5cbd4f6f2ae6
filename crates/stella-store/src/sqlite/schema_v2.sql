-- Proof bundles by their address. A bundle's bytes are made of the envelopes
-- of signed attestations, which never change, so the address stays true.

CREATE TABLE signer.proofs (
    entry      INTEGER PRIMARY KEY CHECK (entry > 0),
    address    BLOB NOT NULL UNIQUE CHECK (length(address) = 32),
    created_by TEXT NOT NULL,
    created_at TEXT NOT NULL
) STRICT;

-- Part 0 is the spine, then the members in their order. Of a statement with
-- several signatures each is an attestation of its own.
CREATE TABLE signer.proof_parts (
    address        BLOB NOT NULL REFERENCES proofs(address),
    part           INTEGER NOT NULL CHECK (part >= 0),
    position       INTEGER NOT NULL CHECK (position >= 0),
    attestation_id TEXT NOT NULL REFERENCES attestations(id),
    PRIMARY KEY (address, part, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX signer.idx_proof_parts_attestation ON proof_parts (attestation_id);

CREATE TRIGGER signer.proofs_no_update BEFORE UPDATE ON proofs
BEGIN SELECT RAISE(ABORT, 'a proof never changes'); END;
CREATE TRIGGER signer.proofs_no_delete BEFORE DELETE ON proofs
BEGIN SELECT RAISE(ABORT, 'proofs are never deleted'); END;
CREATE TRIGGER signer.proofs_no_replace BEFORE INSERT ON proofs
WHEN EXISTS (SELECT 1 FROM proofs WHERE entry = NEW.entry OR address = NEW.address)
BEGIN SELECT RAISE(ABORT, 'a proof never changes'); END;

CREATE TRIGGER signer.proof_parts_no_update BEFORE UPDATE ON proof_parts
BEGIN SELECT RAISE(ABORT, 'a proof never changes'); END;
CREATE TRIGGER signer.proof_parts_no_delete BEFORE DELETE ON proof_parts
BEGIN SELECT RAISE(ABORT, 'a proof never changes'); END;
CREATE TRIGGER signer.proof_parts_no_replace BEFORE INSERT ON proof_parts
WHEN EXISTS (SELECT 1 FROM proof_parts
             WHERE address = NEW.address AND part = NEW.part AND position = NEW.position)
BEGIN SELECT RAISE(ABORT, 'a proof never changes'); END;
