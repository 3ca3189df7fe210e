"""A browser's view of a conversation: a snapshot, and events applied to it.

The same rules as the page's own reducer, so that "state plus events equals fresh state" is checked on this side too.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

Frame = dict[str, Any]


@dataclass
class Browser:
    """What one page shows. Applying a frame twice, or one that a snapshot already contains, changes nothing."""

    status: str = ""
    queue: Frame | None = None
    agent: Frame | None = None
    survey: Frame | None = None
    messages: dict[str, Frame] = field(default_factory=dict)
    live_turn: str = ""
    live_attempt: int = 0
    live_text: str = ""
    next_k: int = 0
    rejected: list[Frame] = field(default_factory=list)

    def apply(self, frame: Frame) -> None:
        handler = getattr(self, "on_" + frame["type"].replace(".", "_"))
        handler(deepcopy(frame))

    def on_ready(self, frame: Frame) -> None:
        self.on_conversation_updated(frame)
        for message in frame["messages"]:
            self.messages[message["id"]] = message
        turn = frame.get("turn")
        if turn is None:
            self._clear_live()
            return
        continues = turn["from"] > 0
        if continues:
            assert (self.live_turn, self.live_attempt, self.next_k) == (turn["id"], turn["attempt"], turn["from"])
        self.live_text = (self.live_text if continues else "") + turn["text"]
        self.live_turn, self.live_attempt, self.next_k = turn["id"], turn["attempt"], turn["k"]

    def on_message_accepted(self, frame: Frame) -> None:
        self.messages[frame["message"]["id"]] = frame["message"]

    def on_message_posted(self, frame: Frame) -> None:
        self.messages[frame["message"]["id"]] = frame["message"]

    def on_message_rated(self, frame: Frame) -> None:
        message = self.messages[frame["message"]]
        message.pop("rating", None)
        if frame["rating"]:
            message["rating"] = frame["rating"]

    def on_conversation_updated(self, frame: Frame) -> None:
        self.status = frame["status"]
        self.queue, self.agent, self.survey = frame.get("queue"), frame.get("agent"), frame.get("survey")

    def on_turn_started(self, frame: Frame) -> None:
        if frame["turn"] == self.live_turn and frame["attempt"] <= self.live_attempt:
            return
        self.live_turn, self.live_attempt, self.live_text, self.next_k = frame["turn"], frame["attempt"], "", 0
        self._set_turn(frame["turn"], status="running")

    def on_reply_delta(self, frame: Frame) -> None:
        assert (frame["turn"], frame["attempt"]) == (self.live_turn, self.live_attempt)
        assert frame["k"] == self.next_k, "deltas are contiguous"
        self.live_text += frame["text"]
        self.next_k += 1

    def on_reply_finished(self, frame: Frame) -> None:
        self._end(frame["turn"], status="done")
        self.messages[frame["message"]["id"]] = frame["message"]

    def on_turn_failed(self, frame: Frame) -> None:
        self._end(frame["turn"], status="failed", code=frame["code"], detail=frame["detail"])

    def on_turn_cancelled(self, frame: Frame) -> None:
        self._end(frame["turn"], status="cancelled")
        if "message" in frame:
            self.messages[frame["message"]["id"]] = frame["message"]

    def on_error(self, frame: Frame) -> None:
        self.rejected.append(frame)

    def on_pong(self, frame: Frame) -> None:
        pass

    def _end(self, turn: str, **state: str) -> None:
        self._set_turn(turn, **state)
        if turn == self.live_turn:
            self._clear_live()

    def _set_turn(self, turn: str, **state: str) -> None:
        for message in self.messages.values():
            if message["role"] == "customer" and message.get("turn", {}).get("id") == turn:
                message["turn"] = {"id": turn, **state}

    def _clear_live(self) -> None:
        self.live_turn, self.live_attempt, self.live_text, self.next_k = "", 0, "", 0

    def shown(self) -> tuple[Any, list[Frame]]:
        """What the customer reads: how it stands, and the messages in order. Provisional text is not part of it."""
        messages = sorted(self.messages.values(), key=lambda message: message["seq"])
        return (self.status, self.queue, self.agent, self.survey), messages
