-- What a server may do. It cannot change the schema, nor alter or delete what
-- is append-only, whatever its code does.
REVOKE ALL ON ALL TABLES IN SCHEMA signer FROM {role};
GRANT USAGE ON SCHEMA signer TO {role};
GRANT SELECT ON ALL TABLES IN SCHEMA signer TO {role};
GRANT INSERT ON signer.key_audit_log, signer.event_chain, signer.sealed_keys, signer.attestations,
    signer.attestation_subjects, signer.ledger, signer.idempotency, signer.proofs, signer.proof_parts,
    signer.tokens, signer.operations_log TO {role};
GRANT UPDATE (state, envelope, key_id, signed_at, attempts, last_error, last_attempt_at, next_attempt_at)
    ON signer.attestations TO {role};
GRANT UPDATE (revoked_at, last_used_at) ON signer.tokens TO {role};
GRANT DELETE ON signer.operations_log TO {role};
GRANT INSERT, UPDATE ON signer.meta, signer.verdicts, signer.rescans TO {role};
GRANT INSERT, UPDATE, DELETE ON signer.trust_anchors, signer.key_history, signer.signing_keys,
    signer.refused_pins, signer.unanswered_logins, signer.signing_claims, signer.replicas TO {role};
