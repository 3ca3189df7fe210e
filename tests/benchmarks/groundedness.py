"""What the bot's replies are worth on questions about articles that no model was tuned on, with and without the guard.

    python -m tests.benchmarks.groundedness                        # the base model
    python -m tests.benchmarks.groundedness --release generator-0002 --markdown
    python -m tests.benchmarks.groundedness --adapter FOLDER       # a LoRA adapter, merged into the base
    python -m tests.benchmarks.groundedness --pairs                # how far the judge and the scorer can be trusted

Every question of `held-out.jsonl` is answered once by the model through the prompt builder, the engine and the filters
that serve customers; the guard then reads the same stream. A sentence is `supported` where both the guard's judge and
the scorer of `support_scorer.py`, which shares no code with it, say so: stricter than the guard. `by_guard` and
`by_scorer` are their opinions alone; unsupported numbers and links are counted by the scorer. The references, which a
person wrote from the articles, are judged too: what they don't reach is the fault of the judges and not of a model.

`unknown_where_absent` is the share of questions without an answer in the article that are answered with "I don't know"
or the like, `unknown_where_answered` of the others. Similarity is to the reference: cosine of the encoder, and chrF.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatbot.settings")
django.setup()

from django.conf import settings  # noqa: E402
from sacrebleu.metrics.chrf import CHRF  # noqa: E402

from chatbot.conversations import wording  # noqa: E402
from chatbot.conversations.replies import NEXT_QUESTION  # noqa: E402
from chatbot.inference.adapters import write_merged  # noqa: E402
from chatbot.inference.encoder import Encoder  # noqa: E402
from chatbot.inference.engines import Engine, load_engine  # noqa: E402
from chatbot.inference.groundedness import GroundednessGuard, Mode, Sources, judge, split_sentences  # noqa: E402
from chatbot.inference.percentiles import percentile  # noqa: E402
from chatbot.inference.prompt import SYSTEM_TEMPLATE, GroundingPassage, Utterance, serving_prompts  # noqa: E402
from chatbot.inference.repetition import RepetitionFilter  # noqa: E402
from chatbot.inference.sampling import SamplingParams  # noqa: E402
from chatbot.inference.weights import prepare_encoder, prepare_generator  # noqa: E402
from chatbot.training.corpora.grounded import FOLDER  # noqa: E402
from chatbot.training.dataset_rows import ReplyRow, read_row  # noqa: E402
from tests.benchmarks.support_scorer import Pair, SupportScorer, labelled_pairs  # noqa: E402

BASE = "smollm2-135m-instruct"
QUICK_ROWS = 40
STREAMS = 4
_UNKNOWN = re.compile(
    r"\b(?:don't|doesn't|do not|does not|did not|didn't|can't|cannot|not) (?:\w+ ){0,3}?(?:know|say|mention|find|give|"
    r"see|sure|specify|state|provide|include|answer|advise)\b|\b(?:only says|is about)\b",
    re.I,
)
# The number of a step is not a figure.
_LIST_MARK = re.compile(r"^(?:[-*•]|\d{1,2}[.)])\s+")
# A greeting or an offer states nothing that a source could support.
_STATES_NOTHING = re.compile(
    r"^\W*(?:i'm sorry\b.{0,60}|sorry\b.{0,30}|thank you.{0,40}|hello|hi|would you like.*\?|shall i.*\?|"
    r"is there anything.*\?|let me know.*)\W*$",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Reply:
    """What one row was answered, as the customer reads it; `waited` is how many chunks came before the first words."""

    row: ReplyRow
    text: str
    guard: GroundednessGuard | None = None
    waited: int = 0


def main() -> None:
    options = _options()
    encoder_folder = Path(settings.MODELS_DIR) / "all-minilm-l6-v2"
    prepare_encoder(encoder_folder)
    encoder = Encoder(encoder_folder)
    if options.pairs:
        _print([{"benchmark": "groundedness pairs", **result} for result in _trust(encoder)], options)
        return
    rows = [read_row(ReplyRow, line) for line in (FOLDER / "held-out.jsonl").read_text(encoding="utf-8").splitlines()]
    if options.quick:
        rows = rows[:: max(1, len(rows) // QUICK_ROWS)]
    scorer = SupportScorer(encoder, labelled_pairs())
    results = [_measured("reference", [Reply(row, row.reply) for row in rows], scorer, encoder)]
    with _model_folder(options) as (name, folder):
        engine = load_engine(model_dir=folder, max_streams=STREAMS, kv_cache_mib=256)
        if options.without_examples:
            engine.prompts = serving_prompts(engine.tokenizer, engine.context_tokens, ())  # type: ignore[attr-defined]
        try:
            streams = _generate(engine, rows, name)
        finally:
            engine.close()
    modes = {"both": (Mode.OFF, Mode.REPLACE), "off": (Mode.OFF,), "replace": (Mode.REPLACE,)}[options.guard]
    for mode in modes:
        replies = [_filtered(row, chunks, mode) for row, chunks in zip(rows, streams, strict=True)]
        label = name if mode is Mode.OFF else f"{name} with guard"
        results.append(_measured(label, replies, scorer, encoder))
        if options.show:
            _show(replies, scorer)
    _print(results, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    model = parser.add_mutually_exclusive_group()
    model.add_argument("--release", help="a generator release by its name, under var/releases")
    model.add_argument("--adapter", type=Path, help="a folder with a LoRA adapter of the base model")
    model.add_argument("--model", type=Path, help="a prepared model folder")
    parser.add_argument(
        "--without-examples", action="store_true", help="prompts without the two examples; a release's manifest says so"
    )
    parser.add_argument("--guard", choices=("both", "replace", "off"), default="both")
    parser.add_argument("--quick", action="store_true", help=f"about {QUICK_ROWS} questions")
    parser.add_argument("--pairs", action="store_true", help="judge the labelled pairs instead of a model")
    parser.add_argument("--json", action="store_true", help="JSON lines (the default)")
    parser.add_argument("--markdown", action="store_true", help="rows of the table in docs/benchmarks.md")
    parser.add_argument("--show", action="store_true", help="print every reply with its unsupported sentences")
    return parser.parse_args()


@contextmanager
def _model_folder(options: argparse.Namespace) -> Iterator[tuple[str, Path]]:
    if options.model is not None:
        yield options.model.name, options.model
    elif options.release is not None:
        yield options.release, Path(settings.RELEASES_DIR) / options.release
    else:
        base = prepare_generator(None, Path(settings.MODELS_DIR) / BASE)
        if options.adapter is None:
            yield "base", base
            return
        with tempfile.TemporaryDirectory() as scratch:
            merged = Path(scratch) / "merged"
            merged.mkdir()
            write_merged(base, options.adapter, merged)
            yield options.adapter.name, prepare_generator(merged, Path(scratch) / "prepared")


# --- Answering as customers are answered --------------------------------------------------------


def _generate(engine: Engine, rows: Sequence[ReplyRow], name: str) -> list[list[str]]:
    """The chunks of each row's reply, as they leave the engine."""
    sampling = SamplingParams(
        max_tokens=settings.REPLY_MAX_TOKENS, deadline_s=settings.REPLY_DEADLINE_S, temperature=0.0, stop=NEXT_QUESTION
    )
    started, done = time.perf_counter(), 0

    def answer(row: ReplyRow) -> list[str]:
        nonlocal done
        prompt = engine.prompts.build(
            system=SYSTEM_TEMPLATE.format(shop=row.shop),
            guidance=row.guidance,
            passages=list(row.passages),
            turns=[*row.history, Utterance("user", row.text)],
        )
        with engine.submit(prompt, sampling) as generation:
            chunks = [chunk.text for chunk in generation]
        done += 1
        if done % 20 == 0:
            print(f"{name}: {done} of {len(rows)} in {time.perf_counter() - started:.0f} s", flush=True)
        return chunks

    with ThreadPoolExecutor(STREAMS) as pool:
        return list(pool.map(answer, rows))


def _filtered(row: ReplyRow, chunks: Sequence[str], mode: Mode) -> Reply:
    """The reply after the filters of `conversations.replies`."""
    repetition = RepetitionFilter()
    guard = GroundednessGuard(_sources(row), mode)
    text, waited = "", 0
    for chunk in chunks:
        text += guard.feed(repetition.feed(chunk))
        waited += not text
        if repetition.looping:
            break
    text = (text + guard.finish(repetition.finish())).strip()
    if not text or guard.says_nothing:
        text = f"{text} {wording.NO_SOURCE}".strip()
    return Reply(row, text, guard, waited)


def _sources(row: ReplyRow) -> Sources:
    return Sources(row.passages, question=row.text, known=[row.shop, row.guidance])


# --- Measuring ----------------------------------------------------------------------------------


def _measured(name: str, replies: Sequence[Reply], scorer: SupportScorer, encoder: Encoder) -> dict[str, Any]:
    stated = [(reply, sentence) for reply in replies for sentence in _statements(reply.text)]
    opinions = scorer.opinions(
        [(sentence, _passage(reply.row)) for reply, sentence in stated], [reply.row.shop for reply, _ in stated]
    )
    took, by_guard = [], []
    for reply, sentence in stated:
        sources = _sources(reply.row)
        _ = sources.stems, sources.facts
        started = time.perf_counter()
        by_guard.append(judge(sentence, sources).supported)
        took.append(1000 * (time.perf_counter() - started))
    vectors = encoder.encode([reply.text for reply in replies])
    references = encoder.encode([reply.row.reply for reply in replies])
    chrf = CHRF()
    absent = [bool(_UNKNOWN.search(reply.text)) for reply in replies if reply.row.intent == "absent"]
    answered = [bool(_UNKNOWN.search(reply.text)) for reply in replies if reply.row.intent == "answer"]
    fates = [checked.fate.value for reply in replies if reply.guard for checked in reply.guard.checked]
    return {
        "benchmark": "groundedness",
        "model": name,
        "replies": len(replies),
        "sentences": len(stated),
        "supported": _share([one.supported and by for one, by in zip(opinions, by_guard, strict=True)]),
        "by_scorer": _share([opinion.supported for opinion in opinions]),
        "by_guard": _share(by_guard),
        "unsupported_numbers_per_reply": round(sum(len(one.figures) for one in opinions) / len(replies), 3),
        "unsupported_links_per_reply": round(sum(len(one.addresses) for one in opinions) / len(replies), 3),
        "similarity": round(float((vectors * references).sum(axis=1).mean()), 3),
        "chrf": round(statistics.fmean(chrf.sentence_score(one.text, [one.row.reply]).score for one in replies), 1),
        "unknown_where_absent": _share(absent),
        "unknown_where_answered": _share(answered),
        "words": round(statistics.fmean(len(reply.text.split()) for reply in replies), 1),
        "changed_by_guard": _share([fate in ("replaced", "left out") for fate in fates]),
        "chunks_before_first_words_p50": percentile(sorted(reply.waited for reply in replies), 0.5),
        "chunks_before_first_words_p95": percentile(sorted(reply.waited for reply in replies), 0.95),
        "judge_ms_p50": round(percentile(sorted(took), 0.5) or 0.0, 2),
        "judge_ms_p95": round(percentile(sorted(took), 0.95) or 0.0, 2),
    }


def _statements(text: str) -> list[str]:
    """Sentences that say something about the shop: no greetings, offers, or "I don't know"."""
    return [
        sentence
        for sentence in (_LIST_MARK.sub("", one) for one in split_sentences(text.replace(wording.NO_SOURCE, "")))
        if sentence and not _STATES_NOTHING.match(sentence) and not _UNKNOWN.search(sentence)
    ]


def _passage(row: ReplyRow) -> str:
    return "\n".join(f"{passage.title}.\n{passage.text}" for passage in row.passages)


def _share(found: Sequence[bool]) -> float | None:
    return round(sum(found) / len(found), 3) if found else None


def _trust(encoder: Encoder) -> Iterator[dict[str, Any]]:
    """Precision and recall of "supported" on the labelled pairs, for the guard's judge and for the report's scorer."""
    pairs = labelled_pairs()
    by_judge = [
        judge(pair.sentence, Sources([GroundingPassage(pair.title, pair.passage)], question=pair.question)).supported
        for pair in pairs
    ]
    by_scorer = _left_out_opinions(encoder, pairs)
    by_both = [one and other for one, other in zip(by_judge, by_scorer, strict=True)]
    for scorer, verdicts in (("guard", by_judge), ("scorer", by_scorer), ("both, as reported", by_both)):
        for part in ("all", "rules were made on", "others"):
            chosen = [
                i for i, pair in enumerate(pairs) if part == "all" or pair.tuned == (part == "rules were made on")
            ]
            yield {"scorer": scorer, "pairs": part, **_agreement([(verdicts[i], pairs[i].supported) for i in chosen])}


def _left_out_opinions(encoder: Encoder, pairs: Sequence[Pair]) -> list[bool]:
    """Each article's sentences, judged by a scorer that was fitted to the other articles."""
    opinions: dict[Pair, bool] = {}
    for passage in dict.fromkeys(pair.passage for pair in pairs):
        scorer = SupportScorer(encoder, [pair for pair in pairs if pair.passage != passage])
        held = [pair for pair in pairs if pair.passage == passage]
        judged = scorer.opinions([(pair.sentence, pair.passage) for pair in held], [pair.question for pair in held])
        opinions |= {pair: opinion.supported for pair, opinion in zip(held, judged, strict=True)}
    return [opinions[pair] for pair in pairs]


def _agreement(judged: Sequence[tuple[bool, bool]]) -> dict[str, Any]:
    both = sum(verdict and label for verdict, label in judged)
    return {
        "count": len(judged),
        "precision": round(both / max(sum(verdict for verdict, _ in judged), 1), 3),
        "recall": round(both / max(sum(label for _, label in judged), 1), 3),
        "made_up_caught": _share([not verdict for verdict, label in judged if not label]),
    }


# --- Printing -----------------------------------------------------------------------------------

_COLUMNS = (
    "model", "supported", "by_guard", "by_scorer", "unsupported_numbers_per_reply", "unsupported_links_per_reply",
    "similarity", "chrf", "unknown_where_absent", "unknown_where_answered", "words",
)  # fmt: skip


def _print(results: Sequence[dict[str, Any]], options: argparse.Namespace) -> None:
    for result in results:
        if options.markdown and not options.pairs:
            print(f"| {' | '.join(str(result[column]) for column in _COLUMNS)} |")
        else:
            print(json.dumps(result))


def _show(replies: Sequence[Reply], scorer: SupportScorer) -> None:
    for reply in replies:
        statements = _statements(reply.text)
        opinions = scorer.opinions(
            [(one, _passage(reply.row)) for one in statements], [reply.row.shop] * len(statements)
        )
        print(f"\n[{reply.row.intent}] {reply.row.text}\n  reply: {reply.text}\n  reference: {reply.row.reply}")
        for sentence, opinion in zip(statements, opinions, strict=True):
            if not opinion.supported:
                print(f"  unsupported ({opinion.probability:.2f}): {sentence} {opinion.figures or ''}")


if __name__ == "__main__":
    main()
