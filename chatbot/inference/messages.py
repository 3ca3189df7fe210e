"""Prompts for a model that is reached through a chat API: built without its tokenizer, sent as messages with roles.

The server puts its own chat template around the messages. Most servers read the rendered whole for special tokens, the
customer's part too. So a text that spells one (`<|im_end|>`, `[INST]`) gets a round bracket for its first: it can be
read as before, has as many bytes, and is no token of any known model.

How a prompt is kept within the model's context: every byte of UTF-8 counts as one token, and the template as
`TEMPLATE_TOKENS` for each message. The tokenizers of current models fall back to bytes, so they need one token a byte
at the very most, and no prompt is ever too long. English takes about four bytes a token: of a context of 8,192 tokens
about 2,000 are used, as much as the engines in this process allow. `PromptBuilder` says what is cut where that is not
enough.

An id of such a prompt is a character's code point, followed by a filler for each of its further bytes: the budget
counts bytes, and a cut between any two ids never leaves half a character behind.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

# ChatML takes 5 or 6 and Llama 3 takes 5 tokens a message; the system message's preamble with today's date about 25.
TEMPLATE_TOKENS = 32

# Special tokens as Llama, Qwen, Mistral, Gemma, Phi, DeepSeek and GLM spell them: no blanks between the brackets.
_SPECIAL = re.compile(r"<(?=[^<>\s]+>)|\[(?=/?g?[A-Z_]{2,}\])")
_FILLER = -1
_MARKS = {"system": -2, "user": -3, "assistant": -4}
_ROLES = {mark: role for role, mark in _MARKS.items()}
# How the marks stand in rendered text. Only the builder's own pieces of text are read for them.
_SIGNS = {"system": "\ue0f2", "user": "\ue0f3", "assistant": "\ue0f4"}
_SIGNED = {sign: _MARKS[role] for role, sign in _SIGNS.items()}


class MessageTokenizer:
    """What `PromptBuilder` needs of a tokenizer, for prompts that `messages` reads."""

    def encode_text(self, text: str) -> list[int]:
        """Ids of outside text, never those of a role."""
        ids: list[int] = []
        # Lone surrogates have no bytes.
        for character in text.encode("utf-8", "replace").decode("utf-8"):
            ids += [ord(character), *[_FILLER] * (len(character.encode()) - 1)]
        return ids

    def encode_template(self, literal: str) -> tuple[int, ...]:
        """Ids of what stands between outside texts: roles, and line ends where two texts share a message."""
        ids: list[int] = []
        for character in literal:
            if character in _SIGNED:
                ids += [_SIGNED[character], *[_FILLER] * (TEMPLATE_TOKENS - 1)]
            else:
                ids += self.encode_text(character)
        return tuple(ids)

    def render(self, messages: Sequence[Mapping[str, str]]) -> str:
        """Each message behind the sign of its role."""
        return "".join(_SIGNS[message["role"]] + message["content"] for message in messages)


def messages(token_ids: Sequence[int]) -> list[tuple[str, str]]:
    """The roles and texts of a prompt built with `MessageTokenizer`, without an empty system message.

    Special tokens are looked for only here, because two pieces of a text that was cut may spell one together.
    """
    found: list[tuple[str, list[str]]] = []
    for index in token_ids:
        if index in _ROLES:
            found.append((_ROLES[index], []))
        elif index != _FILLER:
            found[-1][1].append(chr(index))
    texts = [(role, without_special_tokens("".join(characters))) for role, characters in found]
    return [(role, text) for role, text in texts if text or role != "system"]


def without_special_tokens(text: str) -> str:
    """The text with a round bracket in whatever is spelled like a special token."""
    return _SPECIAL.sub("(", text)
