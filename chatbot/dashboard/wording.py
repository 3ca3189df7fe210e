"""How the operators' pages put things."""

from __future__ import annotations

from datetime import timedelta

from chatbot.intents.wording import counted


def roughly(time: timedelta) -> str:
    """A duration as people say it, such as “12 seconds”, “about 3 minutes” or “about 2 hours”."""
    seconds = max(1, round(time.total_seconds()))
    if seconds < 90:
        return counted(seconds, "second")
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"about {counted(minutes, 'minute')}"
    return f"about {counted(round(minutes / 60), 'hour')}"


def about(time: timedelta) -> str:
    """The same of a time that nobody knows for certain: always “about”."""
    words = roughly(time)
    return words if words.startswith("about") else f"about {words}"
