"""Rows to tune a tiny generator on: a few answers that it can learn by heart."""

from __future__ import annotations

from chatbot.inference.prompt import GroundingPassage, Utterance
from chatbot.training.dataset_rows import ReplyRow

CANCELLING = GroundingPassage("Cancelling", "You can cancel an order within thirty minutes. Open My orders.")
REFUNDS = GroundingPassage("Refunds", "The refund goes back to the payment method you used.")

_SAID = (
    ("How can I cancel my order?", "Open My orders and press Cancel.", CANCELLING),
    ("can i still cancel", "You can cancel within thirty minutes.", CANCELLING),
    ("cancel please", "Open My orders.", CANCELLING),
    ("where does the refund go", "It goes back to the payment method you used.", REFUNDS),
    ("is it refunded to my gift card", "The refund goes back to the payment method you used.", REFUNDS),
)


def reply_rows(copies: int = 4) -> list[ReplyRow]:
    """Rows with passages, every third with an earlier turn."""
    earlier = (Utterance("user", "Wo ist mein Paket?"), Utterance("assistant", "Die Lieferung dauert zwei Werktage."))
    return [
        ReplyRow(
            id=f"{copy}/{number}",
            text=f"{question}{' please' * copy}",
            reply=reply,
            passages=(passage,),
            history=earlier if number % 3 == 0 else (),
            shop="Larkspur",
        )
        for copy in range(copies)
        for number, (question, reply, passage) in enumerate(_SAID)
    ]
