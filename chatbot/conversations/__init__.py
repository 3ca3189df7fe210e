"""Visitors, conversations, messages and turns: the delivery of replies and the transcript."""
