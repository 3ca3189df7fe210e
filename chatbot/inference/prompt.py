"""Builds the prompt of a reply: the fixed parts first, so that the engine's prefix cache hits.

    system message:  system text, the intent's guidance, the passages
    then:            the recent turns within the token budget, ending with the customer's message

The chat template is rendered around placeholders, and what customers and authors wrote is put between its pieces as
ids that cannot be special tokens. No text can close the template. Pure: no torch, no Django, no clock, no files.

What happens where there is too much (never an error):

1. The customer's last message keeps at most half of the budget; a longer one loses its middle, since people put the
   matter at the beginning and the question at the end.
2. System text and guidance come next, cut at the end where they would take more than half of what is left.
3. Passages follow in the order given while they fit into three quarters of what is left; the first one that does not
   fit is cut at the end if at least 48 tokens of it remain, and the others are dropped.
4. Earlier turns fill the rest, newest first, each whole or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Ids = tuple[int, ...]

# Chosen by trying SmolLM2-135M on the demo shop; see the log of experiments in docs/log.md. A model of this size
# follows a short order about what to copy from better than a list of prohibitions.
SYSTEM_TEMPLATE = (
    "You are the customer service assistant of {shop}. "
    "Answer the customer's question in one to three short sentences, using only the facts in the help text below. "
    "If the help text does not answer it, say that you do not know and offer to connect the customer with a person."
)
_PASSAGES_HEADING = "Help text:"
# Less than this of a passage says too little to be worth its tokens.
_SMALLEST_PASSAGE = 48
# Private-use characters that no chat template contains.
_OPEN, _CLOSE = "\ue0f0", "\ue0f1"
_PLACEHOLDER = re.compile(f"{_OPEN}(\\d+){_CLOSE}")


@dataclass(frozen=True, slots=True)
class Utterance:
    """What one side said."""

    role: Literal["user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True)
class GroundingPassage:
    """A piece of a help article that the answer should rest on."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids for an engine, and what had to be left out to make them fit."""

    token_ids: Ids
    dropped_turns: int
    dropped_passages: int


class PromptTokenizer(Protocol):
    """What the builder needs of a tokenizer."""

    def encode_text(self, text: str) -> list[int]:
        """Ids of outside text, never those of special tokens."""
        ...

    @property
    def encode_template(self) -> Callable[[str], Ids]:
        """Ids of a piece of the chat template, special tokens included."""
        ...

    def render(self, messages: Sequence[Mapping[str, str]]) -> str:
        """The chat template around messages, ending where the assistant begins to speak."""
        ...


class PromptBuilder:
    """Builds prompts of at most `context_tokens - reserve` ids; `reserve` is left for the answer."""

    def __init__(self, tokenizer: PromptTokenizer, context_tokens: int = 2048, reserve: int = 256) -> None:
        self._tokenizer = tokenizer
        self._budget = context_tokens - reserve
        self._system_role = self._accepts_system_role()
        # What the template itself costs, with room for two more pieces' worth of rounding.
        empty = len(self._wrap((), [("user", ())]))
        self._turn_cost = max(1, len(self._wrap((), [("user", ()), ("assistant", ()), ("user", ())])) - empty) // 2 + 1
        self._frame_cost = empty
        if self._budget < 2 * self._frame_cost + 16:
            raise ValueError(f"context_tokens={context_tokens} with reserve={reserve} leaves no room for a prompt")

    def build(
        self, *, system: str, guidance: str, passages: Sequence[GroundingPassage], turns: Sequence[Utterance]
    ) -> Prompt:
        """The prompt that answers the last of `turns`, which must be the customer's. See the module for the budget."""
        if not turns or turns[-1].role != "user":
            raise ValueError("the last turn must be the customer's")
        room = self._budget - self._frame_cost
        question = _without_middle(self._encode(turns[-1].text), room // 2)
        room -= len(question)
        instructions = self._encode("\n\n".join(part for part in (system.strip(), guidance.strip()) if part))
        instructions = instructions[: room // 2]
        room -= len(instructions)
        grounding, kept_passages = self._fit_passages(passages, room * 3 // 4)
        room -= len(grounding)
        history = self._fit_turns(turns[:-1], room)

        head = instructions + grounding
        ids = self._wrap(head, [*history, ("user", question)])
        while len(ids) > self._budget and history:  # a template whose cost depends on more than the number of turns
            history = _from_first_question(history[1:])
            ids = self._wrap(head, [*history, ("user", question)])
        return Prompt(
            token_ids=ids,
            dropped_turns=len(turns) - 1 - len(history),
            dropped_passages=len(passages) - kept_passages,
        )

    def _fit_passages(self, passages: Sequence[GroundingPassage], room: int) -> tuple[Ids, int]:
        ids: Ids = ()
        for kept, passage in enumerate(passages):
            heading = f"\n\n{_PASSAGES_HEADING}" if kept == 0 else ""
            title = f"{passage.title.strip()}: " if passage.title.strip() else ""
            piece = tuple(self._tokenizer.encode_text(f"{heading}\n{title}{passage.text.strip()}"))
            left = room - len(ids)
            if len(piece) > left:
                return (ids + piece[:left], kept + 1) if left >= _SMALLEST_PASSAGE else (ids, kept)
            ids += piece
        return ids, len(passages)

    def _fit_turns(self, turns: Sequence[Utterance], room: int) -> list[tuple[str, Ids]]:
        history: list[tuple[str, Ids]] = []
        for turn in reversed(turns):
            ids = self._encode(turn.text)
            room -= len(ids) + self._turn_cost
            if room < 0:
                break
            history.insert(0, (turn.role, ids))
        return _from_first_question(history)

    def _encode(self, text: str) -> Ids:
        return tuple(self._tokenizer.encode_text(text.strip()))

    def _wrap(self, head: Ids, turns: Sequence[tuple[str, Ids]]) -> Ids:
        """The template's ids with the given data between them."""
        data: list[Ids] = []
        messages: list[dict[str, str]] = []

        def placeholder(ids: Ids) -> str:
            data.append(ids)
            return f"{_OPEN}{len(data) - 1}{_CLOSE}"

        if self._system_role:
            messages.append({"role": "system", "content": placeholder(head)})
        for role, ids in turns:
            content = placeholder(ids)
            if messages and messages[-1]["role"] == role:  # most templates insist that the sides alternate
                messages[-1]["content"] += f"\n{content}"
            else:
                messages.append({"role": role, "content": content})
        if not self._system_role:
            messages[0]["content"] = f"{placeholder(head)}\n\n{messages[0]['content']}"

        ids_out: list[int] = []
        for position, piece in enumerate(_PLACEHOLDER.split(self._tokenizer.render(messages))):
            ids_out.extend(data[int(piece)] if position % 2 else self._tokenizer.encode_template(piece))
        return tuple(ids_out)

    def _accepts_system_role(self) -> bool:
        """Some templates refuse the system role, others leave its text out; then it goes before the first message."""
        marker = f"{_OPEN}0{_CLOSE}"
        probe = [{"role": "system", "content": marker}, {"role": "user", "content": "?"}]
        try:
            return marker in self._tokenizer.render(probe)
        except Exception:  # whatever the template's author chose to raise
            return False


def _from_first_question(history: list[tuple[str, Ids]]) -> list[tuple[str, Ids]]:
    """Without leading answers whose question was dropped: most templates insist that the user begins."""
    first = next((index for index, (role, _) in enumerate(history) if role == "user"), len(history))
    return history[first:]


def _without_middle(ids: Ids, limit: int) -> Ids:
    """The first two thirds and the last third of `limit` ids."""
    if len(ids) <= limit:
        return ids
    tail = limit // 3
    return ids[: limit - tail] + (ids[-tail:] if tail else ())
