"""How fast the engines write, against each other and against what else there is, in one run that alternates.

    python -m tests.benchmarks.engine [--quick] [--json]

1, 8 and 32 streams at once write a fixed number of tokens, greedily, to prompts as the worker builds them from the demo
shop: with and without an article, with and without earlier turns, so of mixed length and with a common beginning. Our
engines are asked through the interface that the worker uses. Beside them: transformers' `generate` and its continuous
batching by itself, and llama.cpp reading the same Q8_0 file as the OpenVINO engine.

Each round asks every contender the same prompts one after the other, so that what else the machine does meets all of
them; figures are medians over the rounds. `tokens_per_s` counts from the submission of the first prompt to the last
token. `rss_mib` is the memory of the contender's processes after its rounds.

llama-cpp-python is compiled for this machine the first time, which takes some minutes; `--quick` leaves it out where
that has not been done. A case that cannot run is reported with its `error`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import selectors
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import yaml

from chatbot.inference.percentiles import percentile
from chatbot.inference.prompt import SYSTEM_TEMPLATE, GroundingPassage, PromptBuilder, Utterance
from chatbot.inference.tokens import ModelTokenizer
from chatbot.inference.weights import GGUF_NAME, MANIFEST, prepare_generator
from chatbot.knowledge.chunking import chunk_markdown
from tests.benchmarks.bench_retrieval import DEMO, ROOT
from tests.benchmarks.contenders import CONTENDERS

LLAMACPP = "llamacpp"
_LLAMACPP_VERSION = "0.3.36"
# Streams, by the limit that the engines are started with: 8 is the default of REPLY_STREAMS.
STREAMS = {8: (1, 8), 32: (32,)}
# Contenders read their prompts within 1,024 tokens a stream, replies included.
LONGEST_PROMPT = 900
PATIENCE_S = 240.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is asked."""

    rounds: int
    tokens: int
    # One stream takes the least time and shows the most noise.
    rounds_alone: int


FULL = Plan(rounds=5, tokens=64, rounds_alone=20)
QUICK = Plan(rounds=1, tokens=24, rounds_alone=4)


class Contender:
    """A process that writes when told to."""

    def __init__(self, command: list[str]) -> None:
        """Returns once it has loaded its model. Raises RuntimeError."""
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if os.environ.get("VERBOSE") else subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
        )
        self._answer()

    def run(self, prompts: list[list[int]], tokens: int) -> list[list[float]]:
        """When each token of each stream came, in seconds. Raises RuntimeError."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"prompts": prompts, "tokens": tokens}) + "\n")
        self._process.stdin.flush()
        arrivals: list[list[float]] = self._answer()["arrivals"]
        if short := [len(arrived) for arrived in arrivals if len(arrived) != tokens]:
            raise RuntimeError(f"streams of {short} tokens instead of {tokens}")
        return arrivals

    def rss_mib(self) -> int:
        family = [process := psutil.Process(self._process.pid), *process.children(recursive=True)]
        return round(sum(each.memory_info().rss for each in family) / 2**20)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def _answer(self) -> Any:
        stdout = self._process.stdout
        assert stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            line = stdout.readline() if selector.select(PATIENCE_S) else None
        if not line:
            self.close()
            raise RuntimeError("it ended (VERBOSE=1 shows why)" if line == "" else f"silent for {PATIENCE_S:.0f} s")
        return json.loads(line)


class Case:
    """What one contender did with so many streams."""

    def __init__(self, engine: str, streams: int, error: str = "") -> None:
        self.engine, self.streams, self.error = engine, streams, error
        self.speeds: list[float] = []
        self.first: list[float] = []
        self.gaps: list[float] = []
        self.rss_mib = 0

    def add(self, arrivals: list[list[float]], rss_mib: int) -> None:
        self.speeds.append(sum(map(len, arrivals)) / max(arrived[-1] for arrived in arrivals))
        self.first += [arrived[0] for arrived in arrivals]
        for arrived in arrivals:
            # Tokens that come together took an equal share of the time each.
            together = Counter(arrived)
            for earlier, later in pairwise(together):
                self.gaps += [(later - earlier) / together[later]] * together[later]
        self.rss_mib = rss_mib

    def tokens_per_s(self) -> float | None:
        return None if self.error or not self.speeds else statistics.median(self.speeds)

    def report(self) -> dict[str, Any]:
        named = {"benchmark": "engine", "engine": self.engine, "streams": self.streams}
        speed = self.tokens_per_s()
        if speed is None:
            return {**named, "error": self.error}
        return {
            **named,
            "tokens_per_s": round(speed, 1),
            "ttft_ms_p50": _milliseconds(self.first, 0.5),
            "ttft_ms_p95": _milliseconds(self.first, 0.95),
            "itl_ms_p50": _milliseconds(self.gaps, 0.5),
            "rss_mib": self.rss_mib,
        }


def _milliseconds(seconds: list[float], share: float) -> float:
    return round(1000 * (percentile(seconds, share) or 0.0), 1)


class Contest:
    """All contenders, each started once and asked in turn."""

    def __init__(self, commands: dict[str, list[str] | str], limit: int) -> None:
        """For at most so many streams. A command that is a text is the reason why there is none."""
        self._running: dict[str, Contender] = {}
        self._missing: dict[str, str] = {}
        for name, command in commands.items():
            if isinstance(command, str):
                self._missing[name] = command
                continue
            try:
                self._running[name] = Contender([*command, str(limit)])
            except RuntimeError as error:
                self._missing[name] = str(error)

    def measure(self, prompts: Prompts, streams: int, plan: Plan) -> list[Case]:
        """One number of streams."""
        cases = {name: Case(name, streams, error) for name, error in self._missing.items()}
        cases |= {name: Case(name, streams) for name in self._running}
        # What the first prompt loads and compiles is nobody's speed.
        self._ask(cases, prompts.draw(1), 4, warm_up=True)
        for _ in range(plan.rounds_alone if streams == 1 else plan.rounds):
            self._ask(cases, prompts.draw(streams), plan.tokens)
        return list(cases.values())

    def _ask(self, cases: dict[str, Case], drawn: list[list[int]], tokens: int, *, warm_up: bool = False) -> None:
        for name, contender in list(self._running.items()):
            try:
                arrivals = contender.run(drawn, tokens)
                if not warm_up:
                    cases[name].add(arrivals, contender.rss_mib())
            except RuntimeError as error:
                self._missing[name] = cases[name].error = str(error)
                self._running.pop(name).close()

    def close(self) -> None:
        for contender in self._running.values():
            contender.close()


class Prompts:
    """Prompts of the demo shop, one after the other."""

    def __init__(self, model_dir: Path) -> None:
        tokenizer = ModelTokenizer(model_dir)
        self._builder = PromptBuilder(tokenizer, LONGEST_PROMPT, reserve=0)
        self._chance = random.Random(2)
        self._questions = [
            question
            for intent in yaml.safe_load((DEMO / "intents.yaml").read_text(encoding="utf-8"))
            for question in intent["examples"]
        ]
        self._passages: list[GroundingPassage] = []
        for path in sorted((DEMO / "articles").glob("*.md")):
            _, front_matter, body = path.read_text(encoding="utf-8").split("---\n", 2)
            title = yaml.safe_load(front_matter)["title"]
            self._passages += [GroundingPassage(title, passage.text) for passage in chunk_markdown(body)]

    def draw(self, count: int) -> list[list[int]]:
        return [self._draw() for _ in range(count)]

    def _draw(self) -> list[int]:
        chance = self._chance
        turns: list[Utterance] = []
        for _ in range(chance.choice((0, 0, 0, 1, 2))):
            turns += [
                Utterance("user", chance.choice(self._questions)),
                Utterance("assistant", chance.choice(self._passages).text[:200]),
            ]
        prompt = self._builder.build(
            system=SYSTEM_TEMPLATE.format(shop="Larkspur & Lane"),
            guidance="",
            passages=chance.sample(self._passages, chance.choice((0, 1, 1, 1, 2))),
            turns=[*turns, Utterance("user", chance.choice(self._questions))],
        )
        return list(prompt.token_ids)


def endless_model(source: Path, folder: Path) -> Path:
    """The model with an end token that it never says, so that all write the same number of tokens."""
    target = folder / source.name
    shutil.copytree(source, target, copy_function=os.link)
    unused = json.loads((source / "config.json").read_text())["vocab_size"] - 1
    tokenizer = json.loads((source / "tokenizer.json").read_text())
    text = next(text for text, index in tokenizer["model"]["vocab"].items() if index == unused)
    for name, changes in (
        ("config.json", {"eos_token_id": unused}),
        ("generation_config.json", {"eos_token_id": unused}),
        ("tokenizer_config.json", {"eos_token": text}),
    ):
        content = json.loads((source / name).read_text())
        (target / name).unlink()
        (target / name).write_text(json.dumps(content | changes))
    manifest = json.loads((source / MANIFEST).read_text())
    for name, file in manifest["files"].items():
        file["size"] = (target / name).stat().st_size
    (target / MANIFEST).unlink()
    (target / MANIFEST).write_text(json.dumps(manifest))
    return target


def llamacpp_python(*, may_install: bool) -> Path:
    """An interpreter that has llama-cpp-python. Raises RuntimeError."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "frontdesk" / f"llama-cpp-python-{_LLAMACPP_VERSION}"
    python = folder / "bin" / "python"

    def works() -> bool:
        probe = [str(python), "-c", "import llama_cpp"]
        return python.exists() and subprocess.run(probe, capture_output=True, check=False).returncode == 0

    if works():
        return python
    if not may_install:
        raise RuntimeError("llama-cpp-python is not installed yet; a run without --quick compiles it")
    print(f"Compiling llama-cpp-python into {folder} (several minutes) …", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*pip, f"llama-cpp-python=={_LLAMACPP_VERSION}"], capture_output=True, text=True, check=False)
    if done.returncode or not works():
        raise RuntimeError(f"llama-cpp-python did not install: {done.stderr.strip()[-300:]}")
    return python


def ratios(cases: list[Case]) -> dict[str, float | None]:
    """How many times as fast as its peer the OpenVINO engine is."""
    speeds = {(case.engine, case.streams): case.tokens_per_s() for case in cases}

    def ratio(peer: str, streams: int) -> float | None:
        ours, theirs = speeds.get(("openvino", streams)), speeds.get((peer, streams))
        return round(ours / theirs, 2) if ours and theirs else None

    return {
        "openvino_vs_transformers_8": ratio("transformers_batching", 8),
        "openvino_vs_llamacpp_1": ratio(LLAMACPP, 1),
        "openvino_vs_llamacpp_8": ratio(LLAMACPP, 8),
    }


def print_table(cases: list[Case], *, header: bool) -> None:
    columns = ("tokens_per_s", "ttft_ms_p50", "ttft_ms_p95", "itl_ms_p50", "rss_mib")
    if header:
        print("".join(f"{name:>14}" for name in ("streams", *columns)) + "  engine")
    for case in cases:
        row = case.report()
        figures = "".join(f"{row[name]:>14}" for name in columns) if "error" not in row else f"  {row['error']}"
        print(f"{case.streams:>14}{figures}  {case.engine}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a minute or two, with wide margins")
    parser.add_argument("--json", action="store_true", help="JSON lines instead of a table")
    options = parser.parse_args()
    source = prepare_generator(None, ROOT / "var" / "models" / "smollm2-135m-instruct")
    prompts = Prompts(source)
    cases: list[Case] = []
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=source.parent) as folder:
        model_dir = endless_model(source, Path(folder))
        commands: dict[str, list[str] | str] = {
            name: [sys.executable, "-m", "tests.benchmarks.contenders", name, str(model_dir)] for name in CONTENDERS
        }
        try:
            python = llamacpp_python(may_install=not options.quick)
            program = Path(__file__).with_name("llamacpp_contender.py")
            commands[LLAMACPP] = [str(python), str(program), str(model_dir / GGUF_NAME)]
        except RuntimeError as error:
            commands[LLAMACPP] = str(error)
        for limit, numbers in STREAMS.items():
            with closing(Contest(commands, limit)) as contest:
                for streams in numbers:
                    if not options.json:
                        print(f"Writing {streams} at once …", file=sys.stderr)
                    fresh = contest.measure(prompts, streams, QUICK if options.quick else FULL)
                    if options.json:
                        for case in fresh:
                            print(json.dumps(case.report()), flush=True)
                    else:
                        print_table(fresh, header=not cases)
                    cases += fresh
    print(json.dumps({"ratios": ratios(cases)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
