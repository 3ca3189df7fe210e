"""What Frontdesk itself says to customers: everything that is neither written by the model nor approved per intent."""

from __future__ import annotations

from datetime import datetime

TALK_TO_A_PERSON = "Talk to a person"

DID_YOU_MEAN = "I want to be sure that I understand you. Did you mean one of these?"
OUT_OF_SCOPE = "I can only help with questions about our shop and your orders. Is it one of these?"
OFFER_A_PERSON = (
    "I am sorry, I still don't understand what you need, and I would rather not guess. Shall I pass you on to a person?"
)
CANNOT_READ = (
    "Thank you. I can't look into files, so please tell me in words what it is about, or talk to a person, "
    "who will see what you sent."
)
NO_SOURCE = "I did not find this in our help pages, and I would rather not guess. Shall I pass you on to a person?"
ONLY_ENGLISH = (
    "I am sorry, I can answer only in English for now. You are welcome to ask in English, or to talk to a person."
)

HANDED_OVER = (
    "I have passed this conversation on to our team. A person will read everything above and answer here. "
    "You can leave this page; the conversation is kept. If you would rather go on with me, choose "
    "“Go back to the assistant”."
)
HANDED_OVER_OUTSIDE_HOURS = (
    "I have passed this conversation on to our team. Nobody is here right now{when}. Leave your e-mail address below "
    "and we answer you there, or come back to this page. If you would rather go on with me, choose "
    "“Go back to the assistant”."
)
BACK_IN_QUEUE = "You are in the queue again. The next person who is free will read everything above."
JOINED = "{name} has joined the conversation."
# In place of a first name that an account does not have.
SOMEBODY = "A member of our team"
BACK_TO_BOT = "You are talking to the assistant again."

TURN_FAILED = "I am sorry, I could not answer this. Your message is kept. You can try again, or talk to a person."


def back_at(opening: datetime) -> str:
    """When people are there again, as part of a sentence; in the time zone of the shop, which is said."""
    return f"; we are back on {opening:%A, %-d %B} at {opening:%H:%M} ({opening.tzinfo})"
