"""Signed identities: a JSON Web Token (RFC 7519) in which the host page's server says who the visitor is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from chatbot.exceptions import IdentityRefused

if TYPE_CHECKING:
    from chatbot.sites.models import Site

# Two servers' clocks differ by no more.
LEEWAY = timedelta(seconds=30)
# A token that is stolen from a page is worth something until it expires.
LONGEST_LIFE = timedelta(days=1)
LONGEST_SUBJECT = 200
SHORTEST_MODULUS_BITS = 2048


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom the page vouches for: `subject` is its own id of the customer."""

    subject: str
    name: str = ""
    email: str = ""


def read_identity(site: Site, token: str) -> Identity:
    """The identity that the token states. Raises IdentityRefused in one sentence that a developer can act on.

    Only the site's own algorithm is accepted, whatever the token says of itself (RFC 8725 §3.1).
    """
    if site.identity == site.Identity.OFF:
        raise IdentityRefused("This site does not take signed identities. Switch them on in the admin.")
    try:
        claims = jwt.decode(
            token,
            site.identity_key,
            algorithms=[site.identity_algorithm],
            leeway=LEEWAY,
            options={"require": ["exp", "sub"], "verify_aud": False},
        )
    except (jwt.PyJWTError, ValueError) as error:
        raise IdentityRefused(f"The identity token was refused: {error}.") from error
    expires = datetime.fromtimestamp(claims["exp"], UTC)
    if expires > datetime.now(UTC) + LONGEST_LIFE + LEEWAY:
        raise IdentityRefused("The identity token lives too long: let it expire within a day.")
    if claims.get("aud", site.key) not in (site.key, [site.key]):
        raise IdentityRefused("The identity token was made for another site.")
    subject = claims["sub"]
    if not subject or len(subject) > LONGEST_SUBJECT or "\x00" in subject:
        raise IdentityRefused(f"The identity token's sub must have 1 to {LONGEST_SUBJECT} characters.")
    return Identity(subject, _text(claims.get("name")), _text(claims.get("email")))


def check_public_key(pem: str) -> None:
    """Raise ValueError in one sentence where the text is no RSA public key that is worth its name."""
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError("A public key in PEM is needed: it begins with -----BEGIN PUBLIC KEY-----.") from error
    if not isinstance(key, RSAPublicKey):
        raise ValueError("RS256 needs an RSA key.")
    if key.key_size < SHORTEST_MODULUS_BITS:
        raise ValueError(f"An RSA key of at least {SHORTEST_MODULUS_BITS} bits is needed.")


def _text(claim: object) -> str:
    return claim.replace("\x00", "")[:LONGEST_SUBJECT] if isinstance(claim, str) else ""
