"""Reads of the registry."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db.models import Max

from chatbot.exceptions import ReleaseError
from chatbot.inference.classifier import FORMAT
from chatbot.releases.encoders import current_encoder_digest
from chatbot.releases.models import Kind, Promotion, Release
from chatbot.releases.remote import is_remote


@dataclass(frozen=True, slots=True)
class ReleaseInfo:
    """A release as turns refer to it."""

    id: int
    name: str


def current_promotion(kind: str) -> Promotion | None:
    """The promotion that says which release of this kind is served."""
    return Promotion.objects.filter(kind=kind).select_related("release", "promoted_by").order_by("-id").first()


def current_release(kind: str) -> Release | None:
    """The release of this kind that is served, or None before the first promotion."""
    promotion = current_promotion(kind)
    return promotion.release if promotion else None


def release_named(name: str) -> Release:
    """Raises ReleaseError, with the names that there are, where none is called so."""
    release = Release.objects.filter(name=name).first()
    if release is None:
        names = ", ".join(Release.objects.values_list("name", flat=True)[:20]) or "none yet"
        raise ReleaseError(f"There is no release {name!r}. There are: {names}.")
    return release


def newest_promotions() -> dict[str, int]:
    """The id of each kind's newest promotion: one query that tells whether anything changed."""
    return dict(Promotion.objects.order_by().values_list("kind").annotate(Max("id")))


def release_directory(release: Release) -> Path:
    """Where the release's files lie on this machine."""
    return Path(settings.VAR_DIR) / release.path


def older_promoted_release(release: Release) -> Release | None:
    """The newest release before this one that has ever been current: where a rollback leads."""
    promoted = Promotion.objects.filter(kind=release.kind, release_id__lt=release.pk).values("release_id")
    return Release.objects.filter(pk__in=promoted).order_by("-id").first()


def trainable_generators() -> list[Release]:
    """Generators on this disk, the newest first; those of a model server cannot be trained here."""
    return [
        release for release in Release.objects.filter(kind=Kind.GENERATOR).order_by("-id") if not is_remote(release)
    ]


def classifier_fits_encoder() -> bool:
    """Whether there is a current classifier, made for the encoder in use and in a form that can still be read.

    Raises ModelFilesError without an encoder.
    """
    release = current_release(Kind.CLASSIFIER)
    configuration = (release.manifest.get("configuration") or {}) if release else {}
    return configuration.get("encoder_digest") == current_encoder_digest() and configuration.get("format") == FORMAT
