"""The corpus that teaches the default generator to keep to the help article.

Written for this project, one file a business under `grounded/`; its README says how, and how to add to it.
Pure: no Django, no models.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from chatbot.exceptions import DatasetError
from chatbot.inference.prompt import GroundingPassage, Utterance
from chatbot.training.dataset_rows import ReplyRow

FOLDER = Path(__file__).parent / "grounded"

# libyaml where PyYAML was built with it: ten times as fast.
_Loader: type[yaml.SafeLoader] | type[yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Lesson = Literal["answer", "absent", "refusal", "handoff", "smalltalk"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Question(_Part):
    """What a customer asks and the reply to learn.

    `see` names the articles in the prompt, in order, where that is not just the article that the question stands
    under; `before` is the conversation so far, the customer and the bot in turn.
    """

    ask: str = Field(min_length=1)
    reply: str = Field(min_length=1)
    see: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    teaches: Lesson = "answer"


class _Article(_Part):
    key: str
    title: str
    text: str
    guidance: str = ""
    questions: tuple[_Question, ...]


class _Business(_Part):
    shop: str
    articles: tuple[_Article, ...]


def grounded_corpus(folder: Path = FOLDER) -> list[ReplyRow]:
    """All examples, in the order of their files. A row's `intent` is the lesson that it teaches.

    Raises:
        DatasetError: a file does not follow the format; the sentence names file and field.
    """
    return [row for path in sorted(folder.glob("*.yaml")) for row in _rows(path)]


def _rows(path: Path) -> Iterator[ReplyRow]:
    business = _read(path)
    passages = {article.key: GroundingPassage(article.title, article.text) for article in business.articles}
    for article in business.articles:
        for number, question in enumerate(article.questions, start=1):
            row_id = f"{path.stem}/{article.key}/{number}"
            seen = question.see or (article.key,)
            if unknown := set(seen) - set(passages):
                raise DatasetError(f"{row_id}: no article has the key {', '.join(sorted(unknown))}.")
            if len(question.before) % 2:
                raise DatasetError(f"{row_id}: what was said before must end with the bot.")
            yield ReplyRow(
                id=row_id,
                text=question.ask,
                reply=question.reply,
                passages=tuple(passages[key] for key in seen),
                history=tuple(
                    Utterance("assistant" if index % 2 else "user", said) for index, said in enumerate(question.before)
                ),
                guidance=article.guidance,
                shop=business.shop,
                intent=question.teaches,
                language="en",
            )


def _read(path: Path) -> _Business:
    try:
        return _Business.model_validate(yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader))
    except yaml.YAMLError as error:
        raise DatasetError(f"{path.name} is not YAML: {' '.join(str(error).split())}.") from error
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(step) for step in fault["loc"])
        raise DatasetError(f"{path.name}: {place}: {fault['msg']}.") from error
