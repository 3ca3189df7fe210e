"""Who an embedded chat is, where it may have no cookie: a signed token that its page keeps and shows.

It names the visitor and the site. Browsers keep what an embedded page stores apart for each site around it, so a token
of one site is not found on another.
"""

from __future__ import annotations

import base64
import binascii
import json
import uuid
from dataclasses import dataclass

from django.conf import settings
from django.core import signing

SALT = "frontdesk.visitor-token"
# Whoever is vouched for is vouched for again by the host page, which knows when the customer has signed out.
IDENTIFIED_AGE_S = 12 * 3600


@dataclass(frozen=True, slots=True)
class VisitorToken:
    """A visitor of a site, by its key; `is_identified` where the site vouches for them."""

    visitor: uuid.UUID
    site: str
    is_identified: bool = False

    @property
    def age_s(self) -> int:
        """Seconds that it is good for."""
        return IDENTIFIED_AGE_S if self.is_identified else settings.VISITOR_COOKIE_AGE_S


def write_token(token: VisitorToken) -> str:
    """The token as text of the letters that a websocket's subprotocol may have."""
    content = json.dumps([str(token.visitor), token.site, token.is_identified])
    signed = signing.TimestampSigner(salt=SALT).sign(content)
    return base64.urlsafe_b64encode(signed.encode()).rstrip(b"=").decode()


def read_token(text: str) -> VisitorToken | None:
    """The token, if we signed it and it has not expired."""
    signer = signing.TimestampSigner(salt=SALT)
    try:
        signed = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)).decode()
        visitor, site, is_identified = json.loads(signer.unsign(signed))
        token = VisitorToken(uuid.UUID(visitor), str(site), bool(is_identified))
        signer.unsign(signed, max_age=token.age_s)
    except (signing.BadSignature, ValueError, binascii.Error):
        return None
    return token
