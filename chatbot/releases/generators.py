"""Generator releases as what they are for: an engine that answers prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings

from chatbot.releases.artifacts import verify_release_folder
from chatbot.releases.models import Release
from chatbot.releases.remote import check_fits_engine, is_remote
from chatbot.releases.selectors import release_directory

if TYPE_CHECKING:
    from chatbot.inference.engines import Engine


def load_generator(release: Release) -> Engine:
    """The release, checked byte by byte, in the engine that the settings choose; or a way to its server.

    For workers and commands only. Raises InvalidArtifact, ModelFilesError, ReleaseError, EngineError.
    """
    from chatbot.inference.engines import load_engine

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
        lookup_tokens=settings.PROMPT_LOOKUP_TOKENS,
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
