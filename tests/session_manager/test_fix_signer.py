"""The Ed25519 signature of a logon, against the example that Binance publishes for checking implementations."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from session_manager.halves import load
from session_manager.signers.ed25519 import sign, signature_of
from session_manager.signing import Signing
from tapeline.errors import SpecIncompleteError, VenueError

# The secret part of the documentation's own example key ("solely for illustrative purposes").
EXAMPLE = "gkRha0YGuEAKZv0O/L6prxYR/SVA6XWzgIsgAH2bz24="
SIGNATURE = "4MHXelVVcpkdwuLbl6n73HQUXUf1dse2PCgT1DYqW9w8AVZ1RACFGM+5UdlGPrQHrgtS3CvsRURC1oj73j8gCA=="
TIME = 1_719_487_045_223_000_000
FIX = load("binance_fix").endpoints[0].fix


def signing(**more: object) -> Signing:
    """An attempt."""
    return Signing("binance_fix", "market data", "abcdef0123456789", TIME, FIX, **more)  # type: ignore[arg-type]


def test_the_published_example_comes_out() -> None:
    """Type, CompIDs, number and time, joined by SOH."""
    private = Ed25519PrivateKey.from_private_bytes(base64.b64decode(EXAMPLE))
    assert signature_of(private, "EXAMPLE", "SPOT", "1", "20240627-11:17:25.223") == SIGNATURE


def test_a_key_in_a_file_signs_the_logon_it_is_used_for(tmp_path: Path) -> None:
    """Variables fill the session half's logon; the signature holds for exactly them."""
    private = Ed25519PrivateKey.generate()
    path = tmp_path / "key.pem"
    path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    told = {"VENUE_SECRET_BINANCE_FIX_API_KEY": "name", "VENUE_SECRET_BINANCE_FIX_PRIVATE_KEY": str(path)}
    made = sign(signing(environment=told))
    assert made["api_key"] == "name"
    assert made["sender"] == "Tabcdef0"
    assert made["sending_time"] == "20240627-11:17:25.223"
    assert made["signature_length"] == str(len(made["signature"]))
    payload = f"A\x01{made['sender']}\x01SPOT\x011\x01{made['sending_time']}".encode()
    private.public_key().verify(base64.b64decode(made["signature"]), payload)


@pytest.mark.parametrize(
    "told", [{}, {"VENUE_SECRET_BINANCE_FIX_API_KEY": "name", "VENUE_SECRET_BINANCE_FIX_PRIVATE_KEY": "/none"}]
)
def test_without_its_secrets_nothing_is_signed(told: dict[str, str]) -> None:
    """What is missing is said; no key is in the words."""
    with pytest.raises(VenueError):
        sign(signing(environment=told))


def test_an_emulator_needs_no_secret_and_is_told_none() -> None:
    """Even where there are some."""
    assert sign(signing(emulated=True, environment={"VENUE_SECRET_BINANCE_FIX_API_KEY": "real"}))["api_key"] != "real"


def test_only_a_fix_session_that_begins_anew_is_signed() -> None:
    """The number in the payload is 1."""
    with pytest.raises(SpecIncompleteError):
        sign(Signing("x", "y", "abc", TIME, None, emulated=True))
