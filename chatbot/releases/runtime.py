"""The models that one worker serves, and how it changes them while turns are running.

A turn takes a snapshot and keeps it until it ends, so that no reply is begun with one release and finished with
another. A promotion is noticed within seconds; the new release is checked, loaded beside the old one and tried, in a
thread of its own because that takes longer than a lease allows a worker to be silent, and then the snapshot is swapped.
What cannot be loaded or fails its trial is never served: the old one stays, and the worker says why.

The release that was replaced stays loaded for a while, so that a rollback needs nothing but a swap. Never more than
two of a kind are loaded: before a third, the one that was kept is let go.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import queue
import threading
import time
import weakref
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import DatabaseError, connection

from chatbot.exceptions import FrontdeskError, ModelFilesError
from chatbot.inference.encoder import Encoder
from chatbot.inference.text_classifier import TextClassifier
from chatbot.releases.classifiers import load_classifier
from chatbot.releases.encoders import load_encoder
from chatbot.releases.generators import load_generator
from chatbot.releases.models import Kind, Promotion
from chatbot.releases.remote import is_remote
from chatbot.releases.selectors import ReleaseInfo, current_promotion, newest_promotions
from chatbot.releases.trials import try_classifier, try_generator

if TYPE_CHECKING:
    from chatbot.inference.engines import Engine
    from chatbot.inference.weights import Progress

logger = logging.getLogger(__name__)

# A promotion may take this long to be noticed; asking more often would only load the database.
POLL_INTERVAL_S = 2.0
# A release that could not be loaded (a volume not mounted yet, say) is tried again after this.
RETRY_INTERVAL_S = 60.0
UNFORESEEN = "It failed for a reason that nobody foresaw. The log of the worker has it."
_REMEDIES = {
    Kind.CLASSIFIER: "python manage.py train_classifier",
    Kind.GENERATOR: "python manage.py prepare_models",
}


@dataclass(frozen=True)
class ServedModels:
    """What one turn is answered with."""

    encoder: Encoder
    classifier: TextClassifier
    classifier_release: ReleaseInfo
    engine: Engine
    generator_release: ReleaseInfo


@dataclass(frozen=True, slots=True)
class _Kept:
    """A release that was replaced a moment ago, still loaded, until the clock says `until`."""

    info: ReleaseInfo
    until: float
    classifier: TextClassifier | None = None
    engine: Engine | None = None


@dataclass(frozen=True, slots=True)
class ServingNotes:
    """Beside what a worker serves, by kind: why it does not serve what was promoted, and what it still has loaded."""

    refused: dict[str, str]
    kept: dict[str, str]


class Runtime:
    """Holds the current snapshot. Safe to use from several threads."""

    def __init__(self, models: ServedModels, promotions: dict[str, int]) -> None:
        """`promotions` are the ids of the promotions, by kind, that `models` follow."""
        self._models = models
        self._promotions = promotions
        self._kept: dict[str, _Kept] = {}
        self._refused: dict[str, str] = {}
        self._lock = threading.Lock()
        self._loader: threading.Thread | None = None
        self._next_poll = time.monotonic() + POLL_INTERVAL_S
        self._swapped = False
        self._closed = False
        # Who uses an engine, snapshots and what is kept, reports here once it no longer does. A queue, because the
        # garbage collector may report from inside any other call; what it takes is closed at the next refresh.
        self._unused: queue.SimpleQueue[Engine] = queue.SimpleQueue()
        self._users: dict[int, int] = {}
        self._watch(models)

    @classmethod
    def load(cls, progress: Progress | None = None) -> Runtime:
        """Load what is current. Raises ModelFilesError, ClassifierError, ReleaseError or EngineError.

        The error names what mends it.
        """
        report = progress or (lambda _message, _share: None)
        classifier, generator = _required(Kind.CLASSIFIER), _required(Kind.GENERATOR)
        report("Loading the encoder", 0.0)
        encoder = load_encoder()
        report(f"Loading {classifier.release.name}", 0.2)
        intents = load_classifier(classifier.release, encoder)
        report(f"Loading {generator.release.name}", 0.3)
        engine = load_generator(generator.release)
        report("Models are loaded", 1.0)
        models = ServedModels(encoder, intents, _info(classifier), engine, _info(generator))
        return cls(models, {Kind.CLASSIFIER: classifier.pk, Kind.GENERATOR: generator.pk})

    def models(self) -> ServedModels:
        """The current snapshot. Keep it for one turn and no longer: it keeps its engine alive."""
        return self._models

    def notes(self) -> ServingNotes:
        """What there is to say of the releases beside which are served."""
        return ServingNotes(dict(self._refused), {kind: kept.info.name for kind, kept in self._kept.items()})

    def refresh(self) -> bool:
        """Look for promotions and start loading what is new. Returns at once, mostly without a query.

        True where the snapshot has been swapped since the last call. Never raises: what cannot be loaded is logged and
        the old release stays.
        """
        self._close_unused()
        with self._lock:
            swapped, self._swapped = self._swapped, False
            busy = self._loader is not None and self._loader.is_alive()
            if not busy:
                self._let_go_expired()
            if self._closed or busy or time.monotonic() < self._next_poll:
                return swapped
            self._next_poll = time.monotonic() + POLL_INTERVAL_S
        try:
            newest = newest_promotions()
        except DatabaseError as error:
            logger.warning("promotions could not be looked up: the database does not answer (%s)", error)
            return swapped
        if any(self._promotions.get(kind) != promotion for kind, promotion in newest.items()):
            with self._lock:
                if not self._closed:
                    self._loader = threading.Thread(target=self._load_promoted, name="release-loader", daemon=True)
                    self._loader.start()
        return swapped

    def wait(self, timeout: float | None = None) -> None:
        """Wait for a load that `refresh` has started."""
        loader = self._loader
        if loader is not None:
            loader.join(timeout)

    def close(self) -> None:
        """Close every engine, also those that turns still use."""
        with self._lock:
            self._closed = True
        self.wait()
        with self._lock:
            for kind in list(self._kept):
                self._let_go(kind)
        self._close_unused()
        self._models.engine.close()

    # --- Following a promotion --------------------------------------------------------------------

    def _load_promoted(self) -> None:
        try:
            for kind in Kind:
                self._follow_newest(kind)
        except DatabaseError as error:
            logger.error("what was promoted could not be looked up: the database does not answer (%s)", error)
            self._next_poll = time.monotonic() + RETRY_INTERVAL_S
        finally:
            connection.close()
            _give_back_memory()

    def _follow_newest(self, kind: Kind) -> None:
        promotion = current_promotion(kind)
        if promotion is None or promotion.pk == self._promotions.get(kind):
            return
        try:
            self._follow(promotion)
        except (FrontdeskError, OSError) as error:
            logger.error("a promoted release could not be loaded, the old one goes on serving: %s", error)
            self._refuse(promotion, str(error))
        except DatabaseError:
            raise
        except Exception:  # a fault of ours must not end the loader silently
            logger.exception("a promoted release could not be loaded, the old one goes on serving")
            self._refuse(promotion, UNFORESEEN)
        else:
            self._refused = {name: why for name, why in self._refused.items() if name != kind}

    def _refuse(self, promotion: Promotion, reason: str) -> None:
        self._refused = {**self._refused, promotion.kind: f"{promotion.release.name}: {reason}"}
        self._next_poll = time.monotonic() + RETRY_INTERVAL_S

    def _follow(self, promotion: Promotion) -> None:
        old, info = self._models, _info(promotion)
        if promotion.kind == Kind.CLASSIFIER and info != old.classifier_release:
            kept = self._take_kept(promotion)
            classifier = (kept and kept.classifier) or _tried_classifier(promotion, old.encoder)
            replaced = _Kept(old.classifier_release, _kept_until(), classifier=old.classifier)
            self._swap(replace(old, classifier=classifier, classifier_release=info), Kind.CLASSIFIER, replaced)
        elif promotion.kind == Kind.GENERATOR and info != old.generator_release:
            kept = self._take_kept(promotion)
            engine = (kept and kept.engine) or _tried_engine(promotion)
            replaced = _Kept(old.generator_release, _kept_until(), engine=old.engine)
            self._swap(replace(old, engine=engine, generator_release=info), Kind.GENERATOR, replaced)
        self._promotions = {**self._promotions, promotion.kind: promotion.pk}
        logger.info("now serving %s: %s", info.name, promotion.reason)

    def _swap(self, models: ServedModels, kind: Kind, replaced: _Kept) -> None:
        with self._lock:
            if self._closed:
                # Told to leave while loading: nobody would ever close this engine.
                if models.engine is not self._models.engine:
                    models.engine.close()
                return
            self._watch(models)
            self._keep(kind, replaced)
            self._models = models
            self._swapped = True

    # --- What was replaced ------------------------------------------------------------------------

    def _keep(self, kind: Kind, replaced: _Kept) -> None:
        self._let_go(kind)
        if settings.PREVIOUS_RELEASE_KEEP_S <= 0:
            return
        self._kept = {**self._kept, kind: replaced}
        if replaced.engine is not None:
            self._users[id(replaced.engine)] += 1

    def _take_kept(self, promotion: Promotion) -> _Kept | None:
        """The promoted release if it is still loaded and well; what else is kept of its kind is let go, to make room.

        The release was checked and tried when it was loaded, and what is in memory nobody can have tampered with.
        """
        with self._lock:
            kept = self._kept.get(promotion.kind)
            if kept is None:
                return None
            if kept.info == _info(promotion) and (kept.engine is None or kept.engine.alive):
                # It stays kept, so that nobody closes it before the snapshot that uses it is there.
                return kept
            self._let_go(promotion.kind)
        self._close_unused()
        return None

    def _let_go_expired(self) -> None:
        now = time.monotonic()
        for kind in [kind for kind, kept in self._kept.items() if kept.until <= now]:
            self._let_go(kind)

    def _let_go(self, kind: str) -> None:
        """Called with the lock held."""
        kept = self._kept.get(kind)
        self._kept = {name: other for name, other in self._kept.items() if name != kind}
        if kept is not None and kept.engine is not None:
            self._unused.put(kept.engine)

    # --- Engines and who uses them ----------------------------------------------------------------

    def _watch(self, models: ServedModels) -> None:
        key = id(models.engine)
        self._users[key] = self._users.get(key, 0) + 1
        weakref.finalize(models, self._unused.put, models.engine).atexit = False

    def _close_unused(self) -> None:
        while True:
            try:
                engine = self._unused.get_nowait()
            except queue.Empty:
                return
            with self._lock:
                self._users[id(engine)] -= 1
                last = self._users[id(engine)] == 0
                if last:
                    del self._users[id(engine)]
            if last:
                # Ending an engine's process takes a moment; heartbeats call this.
                threading.Thread(target=_close, args=[engine], name="engine-closer", daemon=True).start()


def _tried_classifier(promotion: Promotion, encoder: Encoder) -> TextClassifier:
    classifier = load_classifier(promotion.release, encoder)
    try_classifier(promotion.release.name, classifier)
    return classifier


def _tried_engine(promotion: Promotion) -> Engine:
    engine = load_generator(promotion.release)
    # Whether a server answers is not the release's doing, and is told by the engine's own state.
    if not is_remote(promotion.release):
        try:
            try_generator(promotion.release.name, engine)
        except BaseException:
            engine.close()
            raise
    return engine


def _close(engine: Engine) -> None:
    engine.close()
    _give_back_memory()


def _give_back_memory() -> None:
    """Have the C library return what it keeps for later.

    Each release is loaded by a thread of its own, for which glibc keeps a heap of its own: after ten swaps the worker
    held a sixth more than after the first (tests/benchmarks/bench_swaps.py). Other libraries need no such call.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _kept_until() -> float:
    return time.monotonic() + settings.PREVIOUS_RELEASE_KEEP_S


def _required(kind: Kind) -> Promotion:
    promotion = current_promotion(kind)
    if promotion is None:
        raise ModelFilesError(f"there is no current {kind} release", path=settings.RELEASES_DIR, remedy=_REMEDIES[kind])
    return promotion


def _info(promotion: Promotion) -> ReleaseInfo:
    return ReleaseInfo(promotion.release_id, promotion.release.name)
