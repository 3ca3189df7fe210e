"""What Frontdesk itself says to customers: everything that is neither written by the model nor approved per intent."""

from __future__ import annotations

TALK_TO_A_PERSON = "Talk to a person"

DID_YOU_MEAN = "I want to be sure that I understand you. Did you mean one of these?"
OUT_OF_SCOPE = "I can only help with questions about our shop and your orders. Is it one of these?"
OFFER_A_PERSON = (
    "I am sorry, I still don't understand what you need, and I would rather not guess. Shall I pass you on to a person?"
)
NO_SOURCE = "I did not find this in our help pages, and I would rather not guess. Shall I pass you on to a person?"

HANDED_OVER = (
    "I have passed this conversation on to our team. A person will read everything above and answer here. "
    "You can leave this page; the conversation is kept. If you would rather go on with me, choose "
    "“Go back to the assistant”."
)
BACK_TO_BOT = "You are talking to the assistant again."

TURN_FAILED = "I am sorry, I could not answer this. Your message is kept. You can try again, or talk to a person."
