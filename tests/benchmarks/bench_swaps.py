"""What a worker's memory does over ten swaps of each kind, with the default models: one JSON line.

    python -m tests.benchmarks.bench_swaps

Counted is what the worker and its engine's process hold, after what was replaced is let go. It needs the base models
(`python manage.py prepare_models`), works in a folder and a database of its own, and takes some minutes on two cores.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import tempfile
import time
from pathlib import Path

import psutil

SWAPS = 10
CHECKOUT = Path(__file__).resolve().parents[2]
MODELS = Path(os.environ.get("VAR_DIR") or CHECKOUT / "var").resolve() / "models"


def resident_mib() -> float:
    """Of this process and its children."""
    gc.collect()
    me = psutil.Process()
    return sum(process.memory_info().rss for process in [me, *me.children(recursive=True)]) / 2**20


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="frontdesk-swaps-") as scratch:
        os.environ |= {"VAR_DIR": scratch, "ENV_FILE": os.devnull, "DJANGO_SETTINGS_MODULE": "chatbot.settings"}
        shutil.copytree(MODELS, Path(scratch) / "models", copy_function=os.link)
        import django

        django.setup()
        print(json.dumps(measure()))


def measure() -> dict[str, object]:
    """Swap between two releases of each kind, loading each anew."""
    from django.conf import settings
    from django.core.management import call_command

    from chatbot.releases import runtime as runtime_module
    from chatbot.releases.encoders import encoder_directory, load_encoder
    from chatbot.releases.models import Kind, Release
    from chatbot.releases.preparation import prepare_base_models
    from chatbot.releases.runtime import Runtime
    from chatbot.releases.selectors import current_release, release_directory
    from chatbot.releases.services import promote_release, register_release, store_release
    from chatbot.training.trainers.fast import train_fast
    from tests.training.shop_examples import EXAMPLES, OUT_OF_SCOPE

    settings.PREVIOUS_RELEASE_KEEP_S = 0.0
    runtime_module.POLL_INTERVAL_S = 0.0
    call_command("migrate", verbosity=0)
    prepare_base_models()
    base = current_release(Kind.GENERATOR)
    assert base is not None
    copy = Path(settings.RELEASES_DIR) / "generator-copy"
    shutil.copytree(release_directory(base), copy, copy_function=os.link)
    generators = [base, register_release(kind=Kind.GENERATOR, directory=copy, name="generator-copy")]
    classifiers = []
    for seed in (0, 1):
        trained = train_fast(EXAMPLES, OUT_OF_SCOPE, load_encoder(), seed)
        classifiers.append(store_release(kind=Kind.CLASSIFIER, write=trained.save, base=encoder_directory().name))
    promote_release(release=classifiers[0], reason="first")
    runtime = Runtime.load()

    def serve(release: Release) -> float:
        promote_release(release=release, reason="swap")
        began = time.perf_counter()
        while release.name not in (runtime.models().classifier_release.name, runtime.models().generator_release.name):
            runtime.refresh()
            runtime.wait()
        taken = time.perf_counter() - began
        while len(psutil.Process().children()) > 1:
            runtime.refresh()
            psutil.wait_procs(psutil.Process().children(), timeout=0.1)
        return taken

    held, seconds = [], []
    for number in range(1, SWAPS + 1):
        seconds.append(serve(generators[number % 2]))
        serve(classifiers[number % 2])
        held.append(round(resident_mib(), 1))
    runtime.close()
    return {
        "swaps_of_each_kind": SWAPS,
        "mib_after_first": held[0],
        "mib_after_last": held[-1],
        "ratio": round(held[-1] / held[0], 3),
        "mib": held,
        "generator_load_s_median": round(sorted(seconds)[SWAPS // 2], 1),
    }


if __name__ == "__main__":
    main()
