"""Verifies the DSSE envelope of a bundle with a P-256 key, by sigstore.

sigstore knows no bundles signed by a key, so this calls what its own bundle
verification calls once it has a key. Usage: sigstore_verify.py BUNDLE KEY.pem
"""

import json
import sys

from cryptography.hazmat.primitives.serialization import load_pem_public_key
from sigstore import dsse

bundle, key = sys.argv[1:3]
with open(bundle, encoding="utf-8") as file:
    envelope = dsse.Envelope._from_json(json.dumps(json.load(file)["dsseEnvelope"]))
with open(key, "rb") as file:
    public = load_pem_public_key(file.read())
dsse._verify(public, envelope)
