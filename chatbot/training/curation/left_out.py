"""Why something is not in a dataset, in the words that people read."""

from __future__ import annotations

from enum import StrEnum


class LeftOut(StrEnum):
    """The value is the sentence that the manifest and the pages carry."""

    # Conversations
    NO_CONSENT = "the customer did not agree to training"
    EXCLUDED = "a reviewer keeps the conversation out of training"
    NOTHING_SAID = "nothing was said in it"

    # Judged turns
    NOT_REVIEWED = "nobody has reviewed it"
    INTENT_OPEN = "the review leaves the intent open"
    INTENT_INACTIVE = "its intent is not active"
    REPLY_OPEN = "the review leaves the reply open"
    REPLY_REJECTED = "the reply was rejected"
    REPLY_STOPPED = "the customer stopped the reply"
    NOT_GENERATED = "the model does not write such replies: approved answers, questions back, hand-overs"
    NO_TEXT = "there is no text in it"

    # Rows
    OVERRULED = "the same text was judged otherwise since"
    REPEAT = "the same stands in it already"
    NEAR_REPEAT = "nearly the same stands in it already"
    OVER_CAP = "this customer has enough rows in it"
    IN_TRAINING = "the same or nearly the same is trained on, so it cannot be measured on"
    HELD_OUT = "the conversation is held out"
    LIKE_HELD_OUT = "an exchange in it is the same or nearly the same as a held-out one"
