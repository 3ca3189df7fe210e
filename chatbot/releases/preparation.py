"""Base models: from a wheel or the operator's folder to `var/models`, and into the registry.

Where a model server writes the replies, its model is registered instead, and no generator is prepared.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

from django.conf import settings

from chatbot.exceptions import FrontdeskError, InvalidArtifact, ModelFilesError
from chatbot.inference.hub import fetch_model, is_fetched, is_hub_name, model_folder
from chatbot.inference.weights import Progress, prepare_encoder, prepare_generator, verify_model_dir
from chatbot.releases import remote
from chatbot.releases.artifacts import read_manifest, verify_release_folder
from chatbot.releases.encoders import encoder_directory
from chatbot.releases.models import Kind, Promotion, Release
from chatbot.releases.selectors import current_promotion, release_directory
from chatbot.releases.services import promote_release, register_release, store_release

logger = logging.getLogger(__name__)

BASE_GENERATOR = "smollm2-135m-instruct"
# Mark the promotions that follow the settings, so that one made by a person is never undone by a restart.
FOLLOWS_SETTING = "The base model that GENERATOR_MODEL names."
FOLLOWS_SERVER = "The model that OPENAI_MODEL names, on its server."


def generator_directory() -> Path:
    """Where the base generator is prepared. The operator's own model gets a folder of its own."""
    if not settings.GENERATOR_MODEL:
        return Path(settings.MODELS_DIR) / BASE_GENERATOR
    source = _generator_source().resolve()
    # Two models in different places may have folders of one name.
    return Path(settings.MODELS_DIR) / f"{source.name}-{hashlib.sha256(bytes(source)).hexdigest()[:8]}"


def prepare_base_models(progress: Progress | None = None) -> None:
    """Make the encoder and the base generator complete on disk, and the generator a release. Idempotent.

    With ENGINE=openai the generator is the server's, and there is nothing of it on disk.

    Raises ModelFilesError, ReleaseError.
    """
    from chatbot.inference.encoder import prepare_openvino_encoder

    report = progress or (lambda _message, _share: None)
    for named in _models_of_the_hub():
        fetch_model(named, Path(settings.MODELS_DIR), progress)
    encoder = encoder_directory()
    if settings.ENCODER_MODEL:
        if not encoder.is_dir():
            raise ModelFilesError(
                "there is no such model", path=encoder, remedy="set ENCODER_MODEL to a folder that exists"
            )
    else:
        prepare_encoder(encoder, progress=progress)
    report("Exporting the encoder for OpenVINO", 0.8)
    prepare_openvino_encoder(encoder)
    report("The encoder is ready", 1.0)
    if settings.ENGINE == remote.ENGINE:
        _follow(_remote_generator() or _register_remote_generator(), FOLLOWS_SERVER)
        return
    source = _generator_source() if settings.GENERATOR_MODEL else None
    follow_base_generator(prepare_generator(source, generator_directory(), progress))


def models_are_prepared() -> bool:
    """Whether `prepare_base_models` would find nothing to do. Cheap; loads nothing."""
    from chatbot.inference.encoder import openvino_encoder_was_tried

    models_dir = Path(settings.MODELS_DIR)
    if not all(is_fetched(model_folder(named, models_dir)) for named in _models_of_the_hub()):
        return False
    try:
        if not settings.ENCODER_MODEL:
            verify_model_dir(encoder_directory())
        if not openvino_encoder_was_tried(encoder_directory()):
            return False
        if settings.ENGINE == remote.ENGINE:
            promotion, generator = _followed_promotion(), _remote_generator()
            return promotion is not None and promotion.release == generator
        directory = generator_directory()
        verify_model_dir(directory)
        promotion = _followed_promotion()
        return (
            promotion is not None
            and promotion.release.path == _relative(directory)
            and promotion.release.manifest_digest == read_manifest(directory)[1]
        )
    except FrontdeskError:
        return False


def _generator_source() -> Path:
    """Where the operator's own generator comes from."""
    return model_folder(settings.GENERATOR_MODEL, Path(settings.MODELS_DIR))


def _models_of_the_hub() -> list[str]:
    """The models that the settings name as on the hub, and that are needed on disk."""
    needed = [settings.ENCODER_MODEL, settings.GENERATOR_MODEL if settings.ENGINE != remote.ENGINE else ""]
    return [named for named in needed if is_hub_name(named)]


def follow_base_generator(directory: Path) -> Release:
    """Register the prepared generator unless it is, and promote it unless the setting has had its way already."""
    _, digest = read_manifest(directory, kind=Kind.GENERATOR)
    same = Release.objects.filter(kind=Kind.GENERATOR, path=_relative(directory), manifest_digest=digest)
    release = same.first() or register_release(kind=Kind.GENERATOR, directory=directory)
    _follow(release, FOLLOWS_SETTING)
    return release


def _remote_generator() -> Release | None:
    """The release of the server's model, if there is one whose folder is whole."""
    named = {f"manifest__configuration__{name}": value for name, value in remote.named_by_settings().items()}
    for release in Release.objects.filter(kind=Kind.GENERATOR, **named):
        try:
            verify_release_folder(release_directory(release), manifest_digest=release.manifest_digest)
        except InvalidArtifact:
            continue
        return release
    return None


def _register_remote_generator() -> Release:
    named = remote.named_by_settings()
    base = f"{named['model']} at {named['server']}"
    return store_release(kind=Kind.GENERATOR, write=lambda _draft: None, base=base, configuration=named)


def _follow(release: Release, reason: str) -> None:
    followed = _followed_promotion()
    if current_promotion(Kind.GENERATOR) is None or followed is None or followed.release_id != release.pk:
        promotion = promote_release(release=release, reason=reason)
        logger.info("%s is current: %s", promotion.release.name, release.base)


def _followed_promotion() -> Promotion | None:
    reasons = (FOLLOWS_SETTING, FOLLOWS_SERVER)
    automatic = Promotion.objects.filter(kind=Kind.GENERATOR, reason__in=reasons, promoted_by=None)
    return automatic.select_related("release").order_by("-id").first()


def _relative(directory: Path) -> str:
    return directory.resolve().relative_to(Path(settings.VAR_DIR).resolve()).as_posix()
