"""Verifies the DSSE envelope of a bundle, by securesystemslib.

Usage: securesystemslib_verify.py BUNDLE KEY.pem
"""

import json
import sys

from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey

bundle, key = sys.argv[1:3]
with open(bundle, encoding="utf-8") as file:
    document = json.load(file)
with open(key, "rb") as file:
    public = load_pem_public_key(file.read())
envelope = Envelope.from_dict(document.get("dsseEnvelope", document))
(keyid,) = envelope.signatures
envelope.verify([SSlibKey.from_crypto(public, keyid=keyid)], 1)
