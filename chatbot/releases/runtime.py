"""The models that one worker serves, and how it changes them while turns are running.

A turn takes a snapshot and keeps it until it ends, so that no reply is begun with one release and finished with
another. A promotion is noticed within seconds; the new release is checked and loaded beside the old one, in a thread of
its own because loading takes longer than a lease allows a worker to be silent, and then the snapshot is swapped.
"""

from __future__ import annotations

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
from chatbot.releases.artifacts import verify_release_folder
from chatbot.releases.classifiers import load_classifier
from chatbot.releases.encoders import load_encoder
from chatbot.releases.models import Kind, Promotion
from chatbot.releases.remote import check_fits_engine, is_remote
from chatbot.releases.selectors import ReleaseInfo, current_promotion, newest_promotions, release_directory

if TYPE_CHECKING:
    from chatbot.inference.engines import Engine
    from chatbot.inference.weights import Progress

logger = logging.getLogger(__name__)

# A promotion may take this long to be noticed; asking more often would only load the database.
POLL_INTERVAL_S = 2.0
# A release that could not be loaded (a volume not mounted yet, say) is tried again after this.
RETRY_INTERVAL_S = 60.0
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


class Runtime:
    """Holds the current snapshot. Safe to use from several threads."""

    def __init__(self, models: ServedModels, promotions: dict[str, int]) -> None:
        """`promotions` are the ids of the promotions, by kind, that `models` follow."""
        self._models = models
        self._promotions = promotions
        self._lock = threading.Lock()
        self._loader: threading.Thread | None = None
        self._next_poll = time.monotonic() + POLL_INTERVAL_S
        self._swapped = False
        self._closed = False
        # Snapshots that nobody uses any more report here. A queue, because the garbage collector may report from
        # inside any other call; what it takes is closed at the next refresh.
        self._unused: queue.SimpleQueue[Engine] = queue.SimpleQueue()
        self._snapshots: dict[int, int] = {}
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
        engine = _load_engine(generator)
        report("Models are loaded", 1.0)
        models = ServedModels(encoder, intents, _info(classifier), engine, _info(generator))
        return cls(models, {Kind.CLASSIFIER: classifier.pk, Kind.GENERATOR: generator.pk})

    def models(self) -> ServedModels:
        """The current snapshot. Keep it for one turn and no longer: it keeps its engine alive."""
        return self._models

    def refresh(self) -> bool:
        """Look for promotions and start loading what is new. Returns at once, mostly without a query.

        True where the snapshot has been swapped since the last call. Never raises: what cannot be loaded is logged and
        the old release stays.
        """
        self._close_unused()
        with self._lock:
            swapped, self._swapped = self._swapped, False
            busy = self._loader is not None and self._loader.is_alive()
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
        self._close_unused()
        self._models.engine.close()

    def _load_promoted(self) -> None:
        try:
            for kind in Kind:
                promotion = current_promotion(kind)
                if promotion is not None and promotion.pk != self._promotions.get(kind):
                    self._follow(promotion)
        except (FrontdeskError, DatabaseError, OSError) as error:
            logger.error("a promoted release could not be loaded, the old one goes on serving: %s", error)
            self._next_poll = time.monotonic() + RETRY_INTERVAL_S
        except Exception:  # a fault of ours must not end the loader silently
            logger.exception("a promoted release could not be loaded, the old one goes on serving")
            self._next_poll = time.monotonic() + RETRY_INTERVAL_S
        finally:
            connection.close()

    def _follow(self, promotion: Promotion) -> None:
        old, info = self._models, _info(promotion)
        if promotion.kind == Kind.CLASSIFIER and info != old.classifier_release:
            classifier = load_classifier(promotion.release, old.encoder)
            self._swap(replace(old, classifier=classifier, classifier_release=info))
        elif promotion.kind == Kind.GENERATOR and info != old.generator_release:
            self._swap(replace(old, engine=_load_engine(promotion), generator_release=info))
        self._promotions = {**self._promotions, promotion.kind: promotion.pk}
        logger.info("now serving %s: %s", info.name, promotion.reason)

    def _swap(self, models: ServedModels) -> None:
        with self._lock:
            if self._closed:
                # Told to leave while loading: nobody would ever close this engine.
                if models.engine is not self._models.engine:
                    models.engine.close()
                return
            self._watch(models)
            self._models = models
            self._swapped = True

    def _watch(self, models: ServedModels) -> None:
        key = id(models.engine)
        self._snapshots[key] = self._snapshots.get(key, 0) + 1
        weakref.finalize(models, self._unused.put, models.engine).atexit = False

    def _close_unused(self) -> None:
        while True:
            try:
                engine = self._unused.get_nowait()
            except queue.Empty:
                return
            with self._lock:
                self._snapshots[id(engine)] -= 1
                last = self._snapshots[id(engine)] == 0
                if last:
                    del self._snapshots[id(engine)]
            if last:
                # Ending an engine's process takes a moment; heartbeats call this.
                threading.Thread(target=engine.close, name="engine-closer", daemon=True).start()


def _required(kind: Kind) -> Promotion:
    promotion = current_promotion(kind)
    if promotion is None:
        raise ModelFilesError(f"there is no current {kind} release", path=settings.RELEASES_DIR, remedy=_REMEDIES[kind])
    return promotion


def _info(promotion: Promotion) -> ReleaseInfo:
    return ReleaseInfo(promotion.release_id, promotion.release.name)


def _load_engine(promotion: Promotion) -> Engine:
    from chatbot.inference.engines import load_engine

    release = promotion.release
    directory = release_directory(release)
    verify_release_folder(directory, manifest_digest=release.manifest_digest, kind=release.kind)
    check_fits_engine(release)
    if is_remote(release):
        return _connect_engine()
    return load_engine(
        model_dir=directory,
        kind=settings.ENGINE,
        max_streams=settings.REPLY_STREAMS,
        kv_cache_mib=settings.KV_CACHE_MIB,
        threads=settings.ENGINE_THREADS,
    )


def _connect_engine() -> Engine:
    from chatbot.inference.engines.openai import ModelServer, OpenAIEngine

    server = ModelServer(
        base_url=settings.OPENAI_BASE_URL,
        model=settings.OPENAI_MODEL,
        api_key=settings.OPENAI_API_KEY,
        context_tokens=settings.OPENAI_CONTEXT_TOKENS,
        connect_timeout_s=settings.OPENAI_CONNECT_TIMEOUT_S,
        read_timeout_s=settings.OPENAI_READ_TIMEOUT_S,
    )
    return OpenAIEngine(server, max_streams=settings.REPLY_STREAMS)
