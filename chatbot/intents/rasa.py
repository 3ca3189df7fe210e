"""Training files of Rasa 2 and 3: the examples of their intents, and a record of what else stands in them.

Entity marks are taken off and the words that they mark stay, as Rasa itself does before it classifies. What a catalogue
of intents has no place for is skipped by name: synonyms, lookup tables, regular expressions, stories, rules, forms,
responses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from chatbot.exceptions import ImportFailed
from chatbot.intents.labelled_texts import LabelledFile, LabelledText, Skipped
from chatbot.intents.text_files import refuse_unstorable, text_lines
from chatbot.intents.wording import listed, quoted

# [Berlin](city), [Berlin](city:BER), [Berlin]{"entity": "city", "role": "to"}, [Berlin][{"entity": "city"}, …]
_ENTITY = re.compile(r"\[([^\[\]]+)\](?:\([^)]*\)|\{[^}]*\}|\[\s*\{[^\]]*\])")
# libyaml is many times faster on large files; PyYAML without it reads the same.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# Nothing of Rasa's is nested deeper, and libyaml's recursion has no limit of its own.
_DEEPEST = 100

_NLU_ENTRIES = {"synonym": "synonym", "lookup": "lookup table", "regex": "regular expression"}
# Sections whose entries have names: as keys of a mapping, or under this key of each.
_SECTIONS = {
    "stories": "story",
    "rules": "rule",
    "e2e_tests": "test",
    "forms": "form",
    "responses": "response",
    "slots": "slot",
    "actions": "action",
    "entities": "entity",
    "intents": "intent without its examples here",
}
_NO_CONTENT = {"version"}
_NULL = "tag:yaml.org,2002:null"


def read_rasa_nlu(path: Path, encoding: str | None = None) -> LabelledFile:
    """The examples of every intent, retrieval intents by their whole name. Raises ImportFailed where there are none."""
    root = _compose(path, "".join(text_lines(path, encoding)))
    sections = _fields(path, root) if isinstance(root, MappingNode) else {}
    entries = sections.pop("nlu", None)
    if not isinstance(entries, SequenceNode):
        others = [quoted(name) for name in sections if name not in _NO_CONTENT]
        there = f"; it has {listed(others)}" if others else ""
        raise ImportFailed(f"{path}: there is no list called “nlu” in it{there}.")
    rows: list[LabelledText] = []
    skipped: list[Skipped] = []
    for entry in entries.value:
        for found in _read_entry(path, entry):
            if isinstance(found, Skipped):
                skipped.append(found)
            else:
                refuse_unstorable(path, found.line, found.text + found.intent)
                rows.append(found)
    for name, section in sections.items():
        skipped += _skipped_section(name, section)
    if not rows:
        raise ImportFailed(f"{path}: there are no intents with examples in it.")
    return LabelledFile(tuple(rows), tuple(sorted(skipped, key=lambda each: each.line)))


def _compose(path: Path, content: str) -> Node | None:
    try:
        depth = 0
        for event in yaml.parse(content, Loader=_LOADER):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > _DEEPEST:
                raise ImportFailed(f"{path}, line {_line(event)}: this is nested too deeply to be a training file.")
        root: Node | None = yaml.compose(content, Loader=_LOADER)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        # libyaml counts a line after the last one.
        where = f", line {min(mark.line, content.count(chr(10))) + 1}" if mark else _position(content, error)
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
        raise ImportFailed(f"{path}{where}: this is no YAML ({problem}).") from error
    return root


def _position(content: str, error: yaml.YAMLError) -> str:
    position = getattr(error, "position", None)
    return "" if position is None else f", line {content.count(chr(10), 0, position) + 1}"


def _line(marked: Any) -> int:
    return int(marked.start_mark.line) + 1


def _fields(path: Path, node: MappingNode) -> dict[str, Node]:
    """The mapping's values by key. A key that stands twice would hide what stands under the first."""
    fields: dict[str, Node] = {}
    for key, value in node.value:
        name = key.value if isinstance(key, ScalarNode) else "…"
        if name in fields:
            raise ImportFailed(f"{path}, line {_line(key)}: {quoted(name)} stands twice at the same place.")
        fields[name] = value
    return fields


def _read_entry(path: Path, entry: Node) -> Iterator[LabelledText | Skipped]:
    if not isinstance(entry, MappingNode):
        yield Skipped(_line(entry), "entry of an unknown sort", _scalar(entry))
        return
    fields = _fields(path, entry)
    examples = fields.get("examples")
    if "intent" in fields:
        intent = _scalar(fields["intent"])
        found = list(_texts(path, examples)) if examples is not None else []
        texts = [(line, text) for line, text, _ in found if text]
        if texts and not intent:
            raise ImportFailed(f"{path}, line {_line(entry)}: the intent has no name.")
        if not texts:
            yield Skipped(_line(entry), "intent without examples", intent)
        for line, text, note in found:
            if note:
                yield Skipped(line, note, intent)
            else:
                yield LabelledText(text, intent, line)
        return
    kind = next((key for key in _NLU_ENTRIES if key in fields), None)
    phrases = sum(1 for _, text, _ in _texts(path, examples) if text) if examples is not None else 0
    if kind:
        yield Skipped(_line(entry), _NLU_ENTRIES[kind], _scalar(fields[kind]), phrases)
    else:
        yield Skipped(_line(entry), "entry of an unknown sort", ", ".join(fields), phrases)


def _texts(path: Path, examples: Node) -> Iterator[tuple[int, str, str]]:
    """(line, text, why it cannot be read) of each example: of a block of “- …” lines, or of a list."""
    if isinstance(examples, ScalarNode):
        yield from _block_texts(examples)
    elif isinstance(examples, SequenceNode):
        for node in examples.value:
            if isinstance(node, MappingNode):
                text = _fields(path, node).get("text")
                yield _example(_line(node), _scalar(text) if text is not None else "")
            elif isinstance(node, ScalarNode):
                yield _example(_line(node), node.value)
            else:
                yield _line(node), "", "entry of an unknown sort"
    else:
        yield _line(examples), "", "entry of an unknown sort"


def _block_texts(examples: ScalarNode) -> Iterator[tuple[int, str, str]]:
    # Only in a literal block does a line of the value stand on a line of the file: from the one below its sign.
    is_literal = examples.style == "|"
    content = "" if examples.tag == _NULL else examples.value
    for number, written in enumerate(content.split("\n"), start=1):
        line, stripped = _line(examples) + (number if is_literal else 0), written.strip()
        if stripped.startswith("-"):
            yield _example(line, stripped[1:])
        elif stripped:
            yield line, "", "line without a leading “-”"


def _example(line: int, written: str) -> tuple[int, str, str]:
    text = _ENTITY.sub(r"\1", written).strip()
    return line, text, "" if text else "no text"


def _scalar(node: Node) -> str:
    """The words as they are written: `intent: yes` is called “yes”, not True."""
    return node.value.strip() if isinstance(node, ScalarNode) else ""


def _skipped_section(name: str, section: Node) -> Iterator[Skipped]:
    if name in _NO_CONTENT:
        return
    reason = _SECTIONS.get(name, f"section {quoted(name)}")
    if isinstance(section, MappingNode) and name in _SECTIONS:
        for key, value in section.value:
            phrases = len(value.value) if isinstance(value, SequenceNode) else 0
            yield Skipped(_line(key), reason, _scalar(key), phrases)
    elif isinstance(section, SequenceNode) and name in _SECTIONS:
        for entry in section.value:
            yield Skipped(_line(entry), reason, _entry_name(entry))
    else:
        yield Skipped(_line(section), reason)


def _entry_name(entry: Node) -> str:
    if isinstance(entry, MappingNode) and entry.value:
        key, value = entry.value[0]
        return _scalar(value) or _scalar(key)
    return _scalar(entry)
