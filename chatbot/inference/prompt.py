"""Builds the prompt of a reply, what changes least first, so that the engine's prefix cache hits.

    system message   system text, the intent's guidance
    two examples     how to answer from a help article (only where there are passages)
    earlier turns    the recent ones within the token budget
    last message     the passages, then the customer's question

The chat template is rendered around placeholders, and what customers and authors wrote is put between its pieces as
ids that cannot be special tokens. No text can close the template. Pure: no torch, no Django, no clock, no files.

The wording was chosen by reading greedy answers of SmolLM2-135M to ten customer questions over seven articles:

- passages in the system message, four wordings of it: 3 answers rested on the article;
- passages in the last message, without examples: 4, most of the others "I'm sorry for the confusion";
- the same with two examples: 8. A third one that declines makes it decline nearly everything; examples from the
  shop's own world leak into answers as if they were true, so these come from a museum;
- a repetition penalty of 1.1 forbids the very words that the answer should repeat: it invents prices.

One passage serves this model better than two, which it mixes up. Guidance hardly moves it; larger models follow it.
A model that was tuned for these prompts needs no examples; its manifest says so (`examples_for`).

What happens where there is too much (never an error):

1. The customer's last message keeps at most half of the budget; a longer one loses its middle, since people put the
   matter at the beginning and the question at the end.
2. System text and guidance come next, cut at the end where they would take more than half of what is left.
3. The examples follow if they fit into half of what is left; otherwise they are left out.
4. Passages follow in the order given while they fit into three quarters of what is left; the first one that does not
   fit is cut at the end if at least 48 tokens of it remain, and the others are dropped.
5. Earlier turns fill the rest, newest first, each whole or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Ids = tuple[int, ...]
Turn = tuple[str, Ids]

SYSTEM_TEMPLATE = (
    "You are the customer service assistant of {shop}. "
    "Answer in one to three short sentences with facts from the help article. "
    "If it does not answer the question, say that you do not know."
)
_ARTICLE = "Help article:"
_QUESTION = "Question:"
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
class Example:
    """A demonstration of how to answer from a passage."""

    passage: GroundingPassage
    question: str
    answer: str


EXAMPLES = (
    Example(
        GroundingPassage(
            "Opening hours",
            "The museum is open Tuesday to Sunday from 10:00 to 18:00. "
            "On the first Friday of the month it stays open until 21:00.",
        ),
        "are you open on monday?",
        "No, the museum is open Tuesday to Sunday from 10:00 to 18:00. "
        "On the first Friday of the month it stays open until 21:00.",
    ),
    Example(
        GroundingPassage(
            "Borrowing an audio guide",
            "Audio guides are free for members. "
            "Go to the front desk, leave an ID card and bring the guide back before closing time.",
        ),
        "how do i get an audio guide",
        "Go to the front desk, leave an ID card and bring the guide back before closing time. "
        "Audio guides are free for members.",
    ),
)


# Longer prompts cost time to the first token without making a small model's answers better.
CONTEXT_TOKENS = 2048
# In the `configuration` of a release's manifest: {"prompt": {"examples": false}}.
PROMPT_KEY, EXAMPLES_KEY = "prompt", "examples"


def examples_for(manifest: Mapping[str, Any]) -> tuple[Example, ...]:
    """The examples that a model's prompts show, by the manifest of its folder: EXAMPLES unless it says otherwise."""
    prompt = (manifest.get("configuration") or {}).get(PROMPT_KEY) or {}
    return EXAMPLES if prompt.get(EXAMPLES_KEY, True) else ()


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


def serving_prompts(
    tokenizer: PromptTokenizer, context_tokens: int, examples: Sequence[Example] = EXAMPLES
) -> PromptBuilder:
    """The builder as engines use it, and whoever trains or measures a model for them."""
    return PromptBuilder(tokenizer, context_tokens, reserve=min(256, context_tokens // 4), examples=examples)


class PromptBuilder:
    """Builds prompts of at most `context_tokens - reserve` ids; `reserve` is left for the answer."""

    def __init__(
        self,
        tokenizer: PromptTokenizer,
        context_tokens: int = 2048,
        reserve: int = 256,
        examples: Sequence[Example] = EXAMPLES,
    ) -> None:
        self._tokenizer = tokenizer
        self._budget = context_tokens - reserve
        self._system_role = self._accepts_system_role()
        frame = len(self._wrap((), [("user", ())]))
        self._frame_cost = frame
        # What the template puts around one more turn, rounded up.
        self._turn_cost = (len(self._wrap((), [("user", ()), ("assistant", ()), ("user", ())])) - frame) // 2 + 1
        if self._budget < 2 * frame + 16:
            raise ValueError(f"context_tokens={context_tokens} with reserve={reserve} leaves no room for a prompt")
        self._examples: list[Turn] = []
        for example in examples:
            self._examples.append(("user", self._ground(example.passage) + self._ask(self._encode(example.question))))
            self._examples.append(("assistant", self._encode(example.answer)))

    def build(
        self, *, system: str, guidance: str, passages: Sequence[GroundingPassage], turns: Sequence[Utterance]
    ) -> Prompt:
        """The prompt that answers the last of `turns`, which must be the customer's. See the module for the budget."""
        if not turns or turns[-1].role != "user":
            raise ValueError("the last turn must be the customer's")
        room = self._budget - self._frame_cost
        question = _without_middle(self._encode(turns[-1].text), room // 2)
        room -= len(question)
        head = self._encode("\n\n".join(part for part in (system.strip(), guidance.strip()) if part))[: room // 2]
        room -= len(head)
        examples = self._fit_examples(room // 2) if passages else []
        room -= self._cost(examples)
        grounding, kept_passages = self._fit_passages(passages, room * 3 // 4)
        if kept_passages:
            question = grounding + self._ask(question)
        room -= len(grounding) + len(self._ask(()))
        history = self._fit_turns(turns[:-1], room)

        ids = self._wrap(head, [*examples, *history, ("user", question)])
        while len(ids) > self._budget and (history or examples):  # a template with an unusual cost for each turn
            history, examples = _from_first_question(history[1:]), examples if history else []
            ids = self._wrap(head, [*examples, *history, ("user", question)])
        return Prompt(
            token_ids=ids,
            dropped_turns=len(turns) - 1 - len(history),
            dropped_passages=len(passages) - kept_passages,
        )

    def conversation(self, system: str, turns: Sequence[Utterance]) -> list[tuple[Ids, bool]]:
        """A conversation in the template's frame, uncut, in pieces: ids, and whether somebody's text or the frame."""
        return self._pieces(self._encode(system), [(turn.role, self._encode(turn.text)) for turn in turns])

    def _fit_examples(self, room: int) -> list[Turn]:
        return self._examples if self._cost(self._examples) <= room else []

    def _cost(self, turns: Sequence[Turn]) -> int:
        return sum(len(ids) + self._turn_cost for _, ids in turns)

    def _fit_passages(self, passages: Sequence[GroundingPassage], room: int) -> tuple[Ids, int]:
        ids: Ids = ()
        for kept, passage in enumerate(passages):
            piece = self._ground(passage, first=kept == 0)
            left = room - len(ids)
            if len(piece) > left:
                return (ids + piece[:left], kept + 1) if left >= _SMALLEST_PASSAGE else (ids, kept)
            ids += piece
        return ids, len(passages)

    def _ground(self, passage: GroundingPassage, *, first: bool = True) -> Ids:
        title = f"{passage.title.strip()}: " if passage.title.strip() else ""
        opening = f"{_ARTICLE} " if first else "\n"
        return tuple(self._tokenizer.encode_text(f"{opening}{title}{passage.text.strip()}"))

    def _ask(self, question: Ids) -> Ids:
        return tuple(self._tokenizer.encode_text(f"\n\n{_QUESTION} ")) + question

    def _fit_turns(self, turns: Sequence[Utterance], room: int) -> list[Turn]:
        history: list[Turn] = []
        for turn in reversed(turns):
            ids = self._encode(turn.text)
            room -= len(ids) + self._turn_cost
            if room < 0:
                break
            history.insert(0, (turn.role, ids))
        return _from_first_question(history)

    def _encode(self, text: str) -> Ids:
        return tuple(self._tokenizer.encode_text(text.strip()))

    def _wrap(self, head: Ids, turns: Sequence[Turn]) -> Ids:
        """The template's ids with the given data between them."""
        return tuple(index for ids, _ in self._pieces(head, turns) for index in ids)

    def _pieces(self, head: Ids, turns: Sequence[Turn]) -> list[tuple[Ids, bool]]:
        """The same in pieces, each with whether it is data; the template's may be empty."""
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

        rendered = _PLACEHOLDER.split(self._tokenizer.render(messages))
        return [
            (data[int(piece)], True) if position % 2 else (self._tokenizer.encode_template(piece), False)
            for position, piece in enumerate(rendered)
        ]

    def _accepts_system_role(self) -> bool:
        """Some templates refuse the system role, others leave its text out; then it goes before the first message."""
        marker = f"{_OPEN}0{_CLOSE}"
        probe = [{"role": "system", "content": marker}, {"role": "user", "content": "?"}]
        try:
            return marker in self._tokenizer.render(probe)
        except Exception:  # whatever the template's author chose to raise
            return False


def _from_first_question(history: list[Turn]) -> list[Turn]:
    """Without leading answers whose question was dropped: most templates insist that the user begins."""
    first = next((index for index, (role, _) in enumerate(history) if role == "user"), len(history))
    return history[first:]


def _without_middle(ids: Ids, limit: int) -> Ids:
    """The first two thirds and the last third of `limit` ids."""
    if len(ids) <= limit:
        return ids
    tail = limit // 3
    return ids[: limit - tail] + (ids[-tail:] if tail else ())
