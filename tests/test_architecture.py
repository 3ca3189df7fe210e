"""The arrows of the design: imports run downward only, and the web process never loads a model library."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "chatbot"

# Each floor may import those below it, and itself.
FLOORS = [
    {"inference"},
    {"knowledge", "intents", "releases", "sites"},
    {"conversations"},
    {"training"},
    {"dashboard", "operations"},
]
FLOOR_OF = {name: number for number, floor in enumerate(FLOORS) for name in floor}

# Within an app: what may not import what. Writers stand above readers, and both above the models.
ENTRANCES = {"consumers", "views", "api", "tasks", "admin", "management", "urls"}
READERS_AND_WRITERS = {"services", "selectors", "delivery", "threads"}
PURE = {
    "conversations/protocol.py": {"pydantic", "chatbot.exceptions"},
    "conversations/policy.py": {"chatbot.inference.predictions"},
    "inference/prompt.py": set(),
    "training/redaction/__init__.py": {"chatbot.training.redaction"},
    "training/redaction/contacts.py": {"chatbot.training.redaction", "phonenumbers"},
}
MODEL_LIBRARIES = ("torch", "transformers", "openvino", "openvino_genai", "sentence_transformers", "sklearn", "openai")


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if "migrations" not in path.parts)


def imported(path: Path, *, at_import_time: bool = False) -> Iterator[str]:
    """The modules that a file imports; those for type checkers only are left out."""
    tree = ast.parse(path.read_text())
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        is_typing = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        is_later = at_import_time and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if is_typing or is_later:
            skipped.update(ast.walk(node))
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def app_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "chatbot" and len(parts) > 1 and parts[1] in FLOOR_OF else None


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_downward_only(path: Path) -> None:
    app = path.relative_to(PACKAGE).parts[0]
    if app not in FLOOR_OF:
        return
    for module in imported(path):
        other = app_of(module)
        if other is not None and other != app:
            assert FLOOR_OF[other] < FLOOR_OF[app], f"{path.relative_to(ROOT)} imports {module}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_inside_an_app_nobody_imports_its_entrances(path: Path) -> None:
    relative = path.relative_to(PACKAGE)
    app, inner = relative.parts[0], relative.parts[1].removesuffix(".py") if len(relative.parts) > 1 else ""
    if app not in FLOOR_OF:
        return
    for module in imported(path):
        parts = module.split(".")
        if parts[:2] != ["chatbot", app] or len(parts) < 3:
            continue
        if inner in READERS_AND_WRITERS:
            assert parts[2] not in ENTRANCES, f"{relative} imports {module}"
        if inner == "selectors":
            assert parts[2] != "services", f"{relative} imports {module}"
        if inner == "models":
            assert parts[2] not in READERS_AND_WRITERS | ENTRANCES, f"{relative} imports {module}"


def test_inference_never_imports_django() -> None:
    for path in (PACKAGE / "inference").rglob("*.py"):
        for module in imported(path):
            assert module.split(".")[0] not in {"django", "channels", "celery"}, f"{path} imports {module}"


@pytest.mark.parametrize("name", PURE)
def test_pure_modules_know_nothing_else(name: str) -> None:
    for module in imported(PACKAGE / name):
        root = module.split(".")[0]
        allowed = root in sys.stdlib_module_names or any(module.startswith(entry) for entry in PURE[name])
        assert allowed, f"{name} imports {module}"


def test_there_are_no_catch_all_modules() -> None:
    names = {part.removesuffix(".py") for path in modules() for part in path.relative_to(PACKAGE).parts}
    assert not names & {"utils", "util", "helpers", "helper", "common", "core", "misc"}


@pytest.mark.parametrize("process", ["chatbot.asgi", "chatbot.operations.management.commands.sweep"])
def test_only_workers_load_model_libraries(process: str) -> None:
    """In a process of its own: what this one has loaded for other tests must not hide anything."""
    code = (
        "import os, sys, django\n"
        "os.environ['DJANGO_SETTINGS_MODULE'] = 'chatbot.settings'\n"
        "django.setup()\n"
        f"import {process}\n"
        "from django.urls import get_resolver\n"
        "get_resolver().url_patterns\n"
        "import chatbot.conversations.tasks, chatbot.knowledge.tasks, chatbot.training.tasks\n"
        "import chatbot.dashboard.urls\n"
        f"print([name for name in {MODEL_LIBRARIES} if name in sys.modules])\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == "[]"
