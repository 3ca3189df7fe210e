"""Telling open pages that a training run has changed. They read it from the database; this only says when."""

from __future__ import annotations

from chatbot.conversations.publisher import publisher


def run_group(run_id: int) -> str:
    """The channel layer's group of the pages that follow the run."""
    return f"training-run.{run_id}"


def announce_run(run_id: int) -> None:
    """Returns at once. An announcement that the broker loses is made good by the next, or by the page's own look."""
    publisher.send(run_group(run_id), {"type": "run.changed"})
