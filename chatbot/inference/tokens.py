"""Text to token ids and back, for any model folder in Hugging Face layout, without importing transformers.

Two alphabets are kept apart. The chat template's own words may become special tokens; everything that came from a
customer or an article is encoded by a tokenizer that has never heard of them, so `<|im_end|>` in a message is ten
ordinary characters.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from chatbot.exceptions import ModelFilesError

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

# Used where a model has no chat template of its own: ChatML, which SmolLM2 and Qwen speak.
_CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


class ModelTokenizer:
    """The tokenizer, chat template and end-of-turn ids of one model folder."""

    def __init__(self, model_dir: Path) -> None:
        """Raises ModelFilesError naming the file that is missing or unreadable."""
        self._model_dir = model_dir
        settings = self._read_json("tokenizer_config.json")
        model = self._read_json("config.json")
        generation = self._read_json("generation_config.json") if self._has("generation_config.json") else {}
        path = model_dir / "tokenizer.json"
        description = self._read_json("tokenizer.json")
        try:
            self._template_tokenizer = Tokenizer.from_str(json.dumps(description))
            self._plain_tokenizer = Tokenizer.from_str(json.dumps({**description, "added_tokens": []}))
        except Exception as error:  # the Rust side raises bare Exception
            raise ModelFilesError(f"not a readable tokenizer ({error})", path=path) from error
        for tokenizer in (self._template_tokenizer, self._plain_tokenizer):
            tokenizer.no_truncation()
            tokenizer.no_padding()
        self.added_ids = frozenset(self._template_tokenizer.get_added_tokens_decoder())
        self.vocab_size = int(model.get("vocab_size") or self._template_tokenizer.get_vocab_size())
        self.context_length = int(model.get("max_position_embeddings") or 2048)
        self.end_ids = self._end_ids(settings, model, generation)
        self._template = self._compile(settings)
        self._special_texts = {
            f"{role}_token": _token_text(settings.get(f"{role}_token")) for role in ("bos", "eos", "unk", "pad")
        }
        # Templates repeat the same few pieces in every prompt.
        self.encode_template: Callable[[str], tuple[int, ...]] = lru_cache(maxsize=256)(self._encode_template)

    def encode_text(self, text: str) -> list[int]:
        """Ids of text from outside; never the id of a special token."""
        # Lone surrogates cannot be encoded; the tokenizer would raise on them.
        text = text.encode("utf-8", "replace").decode("utf-8")
        ids: list[int] = self._plain_tokenizer.encode(text, add_special_tokens=False).ids
        if self.added_ids.isdisjoint(ids):
            return ids
        # A vocabulary whose merges spell a special token: fall back to characters, which are too short to.
        return [
            index
            for character in text
            for index in self._plain_tokenizer.encode(character, add_special_tokens=False).ids
            if index not in self.added_ids
        ]

    def _encode_template(self, literal: str) -> tuple[int, ...]:
        """Ids of a piece of the chat template, special tokens included."""
        return tuple(self._template_tokenizer.encode(literal, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of generated ids, special tokens left out."""
        text: str = self._template_tokenizer.decode(list(ids), skip_special_tokens=True)
        return text

    def render(self, messages: Sequence[Mapping[str, str]]) -> str:
        """The chat template around `messages`, ending where the assistant begins to speak."""
        text: str = self._template.render(messages=messages, add_generation_prompt=True, **self._special_texts)
        return text

    def _compile(self, settings: Mapping[str, Any]) -> Any:
        from jinja2 import TemplateError
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        source = settings.get("chat_template") or _CHATML
        origin = self._model_dir / "tokenizer_config.json"
        if self._has("chat_template.jinja"):
            origin = self._model_dir / "chat_template.jinja"
            source = origin.read_text(encoding="utf-8")
        if isinstance(source, list):  # several named templates; "default" is the one for chats
            source = {entry["name"]: entry["template"] for entry in source}["default"]
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.globals["raise_exception"] = _refuse
        environment.globals["strftime_now"] = lambda _format: ""
        environment.filters["tojson"] = lambda value, **_options: json.dumps(value, ensure_ascii=False)
        try:
            return environment.from_string(source)
        except TemplateError as error:
            raise ModelFilesError(f"the chat template does not parse ({error})", path=origin) from error

    def _end_ids(self, *sources: Mapping[str, Any]) -> frozenset[int]:
        found: set[int] = set()
        for source in sources:
            value = source.get("eos_token_id")
            found.update(value if isinstance(value, list) else [] if value is None else [value])
            text = _token_text(source.get("eos_token"))
            index = self._template_tokenizer.token_to_id(text) if text else None
            found.update([] if index is None else [index])
        if not found:
            raise ModelFilesError("no end-of-sequence token is named", path=self._model_dir / "config.json")
        return frozenset(found)

    def _has(self, name: str) -> bool:
        return (self._model_dir / name).is_file()

    def _read_json(self, name: str) -> dict[str, Any]:
        path = self._model_dir / name
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ModelFilesError("the file is missing", path=path) from None
        except (OSError, ValueError) as error:
            raise ModelFilesError(f"not readable as JSON ({error})", path=path) from error
        if not isinstance(content, dict):
            raise ModelFilesError("not a JSON object", path=path)
        return content


class Detokenizer:
    """Turns a stream of ids into a stream of text, never giving out half a character."""

    def __init__(self, tokenizer: ModelTokenizer) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        # Decoding starts one push before what is new, because some tokenizers write a word differently at a start.
        self._context = 0
        self._boundary = 0
        self._shown = 0

    def push(self, ids: Iterable[int]) -> str:
        """The text that became whole with these ids; may be empty."""
        self._ids.extend(ids)
        text = self._tokenizer.decode(self._ids[self._context :])
        # An unfinished character decodes to U+FFFD at the end. A real U+FFFD comes out with what follows it.
        whole = text.rstrip(_REPLACEMENT)
        fresh = whole[self._shown :]
        self._shown = max(self._shown, len(whole))
        if fresh and whole == text:
            self._context, self._boundary = self._boundary, len(self._ids)
            self._shown = len(self._tokenizer.decode(self._ids[self._context :]))
        return fresh


class StopStrings:
    """Cuts a stream of text at the first stop string, holding back what may be the beginning of one."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""

    def push(self, text: str) -> tuple[str, bool]:
        """Text that is safe to show, and whether a stop string ended it."""
        self._held += text
        found = [index for stop in self._stops if (index := self._held.find(stop)) >= 0]
        if found:
            shown, self._held = self._held[: min(found)], ""
            return shown, True
        keep = max((_overlap(self._held, stop) for stop in self._stops), default=0)
        cut = len(self._held) - keep
        shown, self._held = self._held[:cut], self._held[cut:]
        return shown, False

    def flush(self) -> str:
        """What was held back and turned out to be no stop string."""
        shown, self._held = self._held, ""
        return shown


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that is a proper beginning of `stop`."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0


def _token_text(value: Any) -> str:
    """A special token is written as a string or as an object with its content."""
    return str(value.get("content", "")) if isinstance(value, dict) else str(value or "")


def _refuse(message: str) -> None:
    from jinja2 import TemplateError

    raise TemplateError(message)
