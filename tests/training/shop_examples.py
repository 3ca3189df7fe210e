"""Labelled texts that are easy to tell apart, and some that belong nowhere."""

from __future__ import annotations

import itertools

_SUBJECTS = {
    "cancel_order": (("cancel", "stop", "undo"), ("my order", "the purchase", "order 12", "what i bought")),
    "track_parcel": (("where is", "track", "locate"), ("my parcel", "the delivery", "the package", "my shipment")),
    "refund": (("refund", "return", "give back"), ("my money", "the amount", "what i paid", "the price")),
}
EXAMPLES = [
    (f"{verb} {thing} {ending}".strip(), intent)
    for intent, (verbs, things) in _SUBJECTS.items()
    for verb, thing, ending in itertools.product(verbs, things, ("", "please"))
]
OUT_OF_SCOPE = ["what is the capital of peru", "sing a song", "how tall is everest", "tell a joke", "who won yesterday"]
