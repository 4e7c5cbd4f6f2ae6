// Verifies a bundle with a P-256 key, by @sigstore/verify, which asks for no
// time and no log entry here. Usage: node sigstore_verify.mjs BUNDLE KEY.pem
import { createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { bundleFromJSON } from "@sigstore/bundle";
import { Verifier, toSignedEntity, toTrustMaterial } from "@sigstore/verify";

const [bundle, key] = process.argv.slice(2);
const document = JSON.parse(readFileSync(bundle, "utf8"));
// It wants the list to be there, though it may be empty.
document.verificationMaterial.tlogEntries ??= [];
const publicKey = createPublicKey(readFileSync(key));
const material = toTrustMaterial(
  { mediaType: "", tlogs: [], certificateAuthorities: [], ctlogs: [], timestampAuthorities: [] },
  () => ({ publicKey, validFor: () => true }),
);
const verifier = new Verifier(material, { tlogThreshold: 0, ctlogThreshold: 0, timestampThreshold: 0 });
verifier.verify(toSignedEntity(bundleFromJSON(document)));
