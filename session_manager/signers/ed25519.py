"""A FIX logon signed by an Ed25519 key, as Binance wants it (fix-api.md, "How to sign Logon").

Gives `sender` (a SenderCompID of eight characters, new for each attempt), `sending_time`, `api_key`, `signature` and
`signature_length`. Secrets: `api_key`, and `private_key`, a file's path (PEM, PKCS 8).
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from session_manager.fix.codec import instant
from session_manager.signing import Signing
from tapeline.errors import SpecIncompleteError, VenueError
from tapeline.spec.template import render

_EMULATED = "EMULATED"
_FIRST_NUMBER = "1"


def sign(signing: Signing) -> dict[str, str]:
    """The variables of a logon; raises VenueError where the secrets are no such key."""
    fix = signing.fix
    if fix is None or not fix.reset:
        raise SpecIncompleteError("ed25519 signs the first message of a FIX session whose numbers begin anew")
    api_key, private = _credentials(signing)
    variables = {"nonce": signing.nonce, "sender": f"T{signing.nonce[:7]}", "api_key": api_key}
    sent = instant(signing.time_ns)
    sender, target = render(fix.sender, variables), render(fix.target, variables)
    signature = signature_of(private, sender, target, _FIRST_NUMBER, sent)
    return {**variables, "sending_time": sent, "signature": signature, "signature_length": str(len(signature))}


def signature_of(private: Ed25519PrivateKey, sender: str, target: str, number: str, sent: str) -> str:
    """RawData of a logon: type, SenderCompID, TargetCompID, MsgSeqNum and SendingTime, signed, in base64."""
    payload = f"A\x01{sender}\x01{target}\x01{number}\x01{sent}"
    return base64.b64encode(private.sign(payload.encode())).decode()


def _credentials(signing: Signing) -> tuple[str, Ed25519PrivateKey]:
    if signing.emulated:
        # Who stands in for the venue takes a key that follows from its name; real secrets stay at home.
        return _EMULATED, Ed25519PrivateKey.from_private_bytes(hashlib.sha256(_EMULATED.encode()).digest())
    api_key, path = signing.secret("api_key"), Path(signing.secret("private_key"))
    try:
        private = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise VenueError(f"private key of {signing.venue}: {type(error).__name__}") from None
    if not isinstance(private, Ed25519PrivateKey):
        raise VenueError(f"private key of {signing.venue} is no Ed25519 key")
    return api_key, private
