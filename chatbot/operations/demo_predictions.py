"""What the classifier makes of the demo shop's conversations, whose replies were written by hand.

With it the review queue has something to show on the first day, from the classifier that was trained a moment before.
"""

from __future__ import annotations

from django.db import transaction
from django.db.models import QuerySet

from chatbot.conversations.models import Turn
from chatbot.conversations.predictions import record_of
from chatbot.conversations.triage import triage_turns
from chatbot.releases.models import Kind
from chatbot.releases.selectors import current_release

READ_AFTERWARDS = "Written for the demo shop; the classifier read it afterwards."


def unread_demo_turns() -> QuerySet[Turn]:
    """The demo's turns that no classifier has read."""
    return Turn.objects.filter(conversation__is_demo=True, classifier=None)


@transaction.atomic
def read_demo_turns() -> int:
    """Have the current classifier read them, and put those into the review queue that teach. Returns how many.

    What the bot took a message for stays as it was written, since the reply goes with it. Imports the models.
    """
    from chatbot.releases.classifiers import load_classifier

    release = current_release(Kind.CLASSIFIER)
    turns = list(unread_demo_turns().select_related("message", "intent"))
    if release is None or not turns:
        return 0
    predictions = load_classifier(release).predict([turn.message.text for turn in turns])
    for turn, prediction in zip(turns, predictions, strict=True):
        taken_for = turn.intent.slug if turn.intent else ""
        turn.classifier = release
        turn.prediction = record_of(prediction)
        turn.confidence = next((each.confidence for each in prediction.ranking if each.intent == taken_for), None)
        turn.reason = READ_AFTERWARDS
    Turn.objects.bulk_update(turns, ["classifier", "prediction", "confidence", "reason"])
    triage_turns(turn_ids=[turn.pk for turn in turns])
    return len(turns)
