"""Signed identities: what holds, and everything that does not."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.core.exceptions import ValidationError

from chatbot.exceptions import IdentityRefused
from chatbot.sites.identity import Identity, read_identity
from chatbot.sites.models import Site

SECRET = "a secret that both servers know, long enough"


def site(**fields: Any) -> Site:
    fields = {"key": "shop", "name": "Shop", "identity": Site.Identity.OPTIONAL, "identity_key": SECRET, **fields}
    return Site(**fields)


def signed(key: Any = SECRET, algorithm: str = "HS256", minutes: float = 10, **claims: Any) -> str:
    claims = {"sub": "customer-7", "exp": datetime.now(UTC) + timedelta(minutes=minutes), **claims}
    return jwt.encode({name: claim for name, claim in claims.items() if claim is not None}, key, algorithm)


@pytest.fixture(scope="module")
def rsa_key() -> RSAPrivateKey:
    return generate_private_key(65537, 2048)


def public(key: RSAPrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def test_a_token_says_who_the_visitor_is():
    token = signed(name="Robin", email="robin@shop.example", aud="shop")
    assert read_identity(site(), token) == Identity("customer-7", "Robin", "robin@shop.example")


def test_rs256_takes_the_public_key(rsa_key: RSAPrivateKey):
    shop = site(identity_algorithm=Site.Algorithm.RS256, identity_key=public(rsa_key))
    shop.clean()
    assert read_identity(shop, signed(rsa_key, "RS256")).subject == "customer-7"


def test_the_public_key_is_no_secret_to_sign_with(rsa_key: RSAPrivateKey):
    shop = site(identity_algorithm=Site.Algorithm.RS256, identity_key=public(rsa_key))
    head, body = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
        for part in ({"alg": "HS256"}, {"sub": "customer-7", "exp": 4102444800})
    )
    import hashlib
    import hmac

    mac = hmac.new(public(rsa_key).encode(), f"{head}.{body}".encode(), hashlib.sha256).digest()
    forged = f"{head}.{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
    with pytest.raises(IdentityRefused, match="alg"):
        read_identity(shop, forged)


@pytest.mark.parametrize(
    ("token", "told"),
    [
        (signed(minutes=-2), "expired"),
        (signed(exp=None), "exp"),
        (signed(sub=None), "sub"),
        (signed(sub=""), "1 to 200"),
        (signed(sub="x" * 201), "1 to 200"),
        (signed(sub="a\x00"), "1 to 200"),
        (signed("another secret that is just as long as it"), "ignature"),
        (signed(minutes=60 * 25), "lives too long"),
        (signed(aud="another"), "another site"),
        (signed(nbf=datetime.now(UTC) + timedelta(hours=1)), "not yet valid"),
        (jwt.encode({"sub": "customer-7", "exp": 4102444800}, "", "none"), "alg"),
        ("", "refused"),
        ("a.b.c", "refused"),
        ("\ud800", "refused"),
    ],
)
def test_what_does_not_hold_is_refused_with_a_reason(token: str, told: str):
    with pytest.raises(IdentityRefused, match=told):
        read_identity(site(), token)


def test_a_site_that_takes_none_says_so():
    with pytest.raises(IdentityRefused, match="Switch them on"):
        read_identity(site(identity=Site.Identity.OFF), signed())


@pytest.mark.parametrize(
    "fields",
    [
        {"identity_key": "short"},
        {"identity_algorithm": Site.Algorithm.RS256},
        {"identity_algorithm": Site.Algorithm.RS256, "identity_key": public(generate_private_key(65537, 1024))},
    ],
)
def test_a_key_that_cannot_check_anything_is_refused(fields: dict[str, str]):
    with pytest.raises(ValidationError, match="needed"):
        site(**fields).clean()


@pytest.mark.parametrize("origin", ["shop.example", "https://shop.example/", "https://a b", "ftp://shop.example"])
def test_what_is_no_origin_is_named(origin: str):
    with pytest.raises(ValidationError, match="is not an origin"):
        site(allowed_origins=f"https://ok.example\n{origin}").full_clean(exclude=["key"], validate_unique=False)
