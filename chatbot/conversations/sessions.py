"""The sessions of embedded chats: opened, renewed, and joined to the customer whom the site vouches for."""

from __future__ import annotations

import uuid

from django.db import transaction

from chatbot.conversations.models import Conversation, Departure, Turn, Visitor
from chatbot.conversations.triage import triage_again
from chatbot.conversations.visitor_tokens import VisitorToken
from chatbot.exceptions import IdentityRefused
from chatbot.sites.identity import Identity, read_identity
from chatbot.sites.models import Site
from chatbot.sites.selectors import active_site


def open_session(*, site: Site, token: VisitorToken | None, identity: str | None) -> VisitorToken:
    """The token that the embedded page goes on with.

    With a signed identity the session becomes that customer's, and what was said before in this browser is theirs from
    then on. Without one, an earlier token of the site is renewed or a new visitor begins.

    Raises:
        IdentityRefused: the identity does not hold, or the site wants one and there is none.
    """
    if token is not None and token.site != site.key:
        token = None
    if identity:
        return _identify(site, token, read_identity(site, identity))
    if token is not None and token.is_identified:
        return token
    if site.identity == Site.Identity.ENFORCED:
        raise IdentityRefused("Please sign in to chat with us.")
    return token or VisitorToken(uuid.uuid4(), site.key)


def admitting_site(token: VisitorToken) -> Site | None:
    """The token's site, if it still opens the chat there: the site may be closed by now, or want identities."""
    site = active_site(token.site)
    if site is None or (site.identity == Site.Identity.ENFORCED and not token.is_identified):
        return None
    return site


@transaction.atomic
def answer_consent(*, visitor_id: uuid.UUID, site: Site, agreed: bool) -> None:
    """Keep whether what the visitor says may be trained on: from now on, and for what was said before."""
    Visitor.objects.update_or_create(pk=visitor_id, defaults={"site": site, "agreed_to_training": agreed})
    consent = agreed and site.training != Site.Training.NEVER
    _set_consent(visitor_id, consent)


def _set_consent(visitor_id: uuid.UUID, consent: bool) -> None:
    Conversation.objects.filter(visitor_id=visitor_id).update(training_consent=consent)
    # What may not be trained on need not be reviewed, and the other way round.
    triage_again(Turn.objects.filter(conversation__visitor=visitor_id))


def may_train_on(visitor: Visitor) -> bool:
    """Whether a new conversation of the visitor may be trained on, by the site's rule and the visitor's word."""
    if visitor.agreed_to_training is False:
        return False
    if visitor.site is None:
        return True
    if visitor.site.training == Site.Training.ASK:
        return visitor.agreed_to_training is True
    return visitor.site.training == Site.Training.NOTICE


@transaction.atomic
def _identify(site: Site, token: VisitorToken | None, identity: Identity) -> VisitorToken:
    # Under a row lock of the site, so that two tabs that identify at once make one visitor.
    Site.objects.select_for_update().get(pk=site.pk)
    visitor, _ = Visitor.objects.update_or_create(
        site=site,
        external_id=identity.subject,
        defaults={"name": identity.name, "email": identity.email},
    )
    if token is not None and not token.is_identified:
        _merge(token.visitor, visitor)
    return VisitorToken(visitor.pk, site.key, is_identified=True)


def _merge(anonymous: uuid.UUID, visitor: Visitor) -> None:
    """What was said before signing in is the customer's; the session that said it ends."""
    # Locked, as whoever begins a conversation locks it: none may begin between the move and the end.
    earlier = Visitor.objects.select_for_update().filter(pk=anonymous, external_id="").first()
    if earlier is None:
        return
    Conversation.objects.filter(visitor=earlier).update(visitor=visitor)
    Departure.objects.filter(visitor=earlier).update(visitor=visitor)
    if visitor.agreed_to_training is None and earlier.agreed_to_training is not None:
        visitor.agreed_to_training = earlier.agreed_to_training
        visitor.save(update_fields=["agreed_to_training"])
    earlier.delete()
    if visitor.agreed_to_training is False:
        _set_consent(visitor.pk, False)
