"""The support desk: conversations as chats, and the records behind them."""

from __future__ import annotations

from chatbot.conversations.admin.canned import CannedReplyAdmin
from chatbot.conversations.admin.conversations import ConversationAdmin
from chatbot.conversations.admin.queue import ReviewQueueAdmin
from chatbot.conversations.admin.records import MessageAdmin, ReviewAdmin, TurnAdmin, VisitorAdmin

__all__ = [
    "CannedReplyAdmin",
    "ConversationAdmin",
    "MessageAdmin",
    "ReviewAdmin",
    "ReviewQueueAdmin",
    "TurnAdmin",
    "VisitorAdmin",
]
