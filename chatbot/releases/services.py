"""Writes of the registry: storing, registering, promoting, rolling back."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction

from chatbot.exceptions import ReleaseError
from chatbot.releases.artifacts import new_release_folder, read_manifest, verify_release_folder
from chatbot.releases.models import Kind, Promotion, Release
from chatbot.releases.remote import check_fits_engine
from chatbot.releases.selectors import current_promotion, older_promoted_release, release_directory


def store_release(
    *,
    kind: str,
    write: Callable[[Path], None],
    base: str,
    dataset_digest: str = "",
    configuration: dict[str, Any] | None = None,
    seed: int | None = None,
    metrics: dict[str, Any] | None = None,
    created_by: User | None = None,
) -> Release:
    """Let `write` put the files into a new release folder, and register it under the next free name."""
    details = {
        "kind": kind,
        "base": base,
        "dataset_digest": dataset_digest,
        "configuration": configuration or {},
        "seed": seed,
        "metrics": metrics or {},
    }
    while True:
        directory = Path(settings.RELEASES_DIR) / _next_name(kind)
        try:
            with new_release_folder(directory, **details) as draft:
                write(draft)
        except OSError:
            if directory.exists():
                continue  # another training took the name meanwhile
            raise
        return register_release(kind=kind, directory=directory, name=directory.name, created_by=created_by)


def register_release(*, kind: str, directory: Path, name: str = "", created_by: User | None = None) -> Release:
    """Enter a finished folder below `var/` into the registry. Raises InvalidArtifact, ReleaseError."""
    var = Path(settings.VAR_DIR).resolve()
    if not directory.resolve().is_relative_to(var):
        raise ReleaseError(f"{directory} is not below {var}, where releases are kept.")
    manifest, digest = read_manifest(directory, kind=kind)
    with transaction.atomic():
        return Release.objects.create(
            kind=kind,
            name=name or _next_name(kind),
            path=directory.resolve().relative_to(var).as_posix(),
            manifest_digest=digest,
            base=str(manifest.get("base", ""))[:200],
            dataset_digest=str(manifest.get("dataset_digest", "")),
            manifest=manifest,
            metrics=manifest.get("metrics", {}),
            created_by=created_by,
        )


def promote_release(
    *,
    release: Release,
    reason: str,
    promoted_by: User | None = None,
    leave: Callable[[Release | None], str] | None = None,
) -> Promotion:
    """Make a release the one that workers serve. Its files are checked first; how good it is, is not.

    For base models, the first of a kind and what has served before. Candidates go through the gate
    (`training.promotions`), which gives `leave`: called with the release that is current, it raises or tells by what
    override it let the release pass. Promoting what is current already changes nothing.

    Raises InvalidArtifact, ReleaseError.
    """
    if not reason.strip():
        raise ReleaseError("A promotion needs a reason.")
    check_servable(release)
    with transaction.atomic():
        # The row lock makes two promotions of one kind take turns, so that each knows what it replaced.
        list(Promotion.objects.select_for_update().filter(kind=release.kind).order_by("-id")[:1])
        current = current_promotion(release.kind)
        if current is not None and current.release_id == release.pk:
            return current
        override = leave(current.release if current else None) if leave else ""
        return Promotion.objects.create(
            kind=release.kind,
            release=release,
            previous=current.release if current else None,
            reason=reason.strip(),
            override=override,
            promoted_by=promoted_by,
        )


def rollback(*, kind: str, reason: str, promoted_by: User | None = None) -> Promotion:
    """Promote the newest older release that has been current before. Raises ReleaseError where there is none."""
    current = current_promotion(kind)
    if current is None:
        raise ReleaseError(f"There is no current {kind} to roll back from.")
    older = older_promoted_release(current.release)
    if older is None:
        raise ReleaseError(f"{current.release.name} is the oldest {kind} that was ever current.")
    return promote_release(release=older, reason=reason, promoted_by=promoted_by)


def check_servable(release: Release) -> None:
    """Raise InvalidArtifact or ReleaseError where a worker could not serve this release."""
    directory = release_directory(release)
    verify_release_folder(directory, manifest_digest=release.manifest_digest, kind=release.kind)
    if release.kind == Kind.GENERATOR:
        check_fits_engine(release)
    if release.kind == Kind.CLASSIFIER:
        from chatbot.inference.classifier import IntentClassifier
        from chatbot.releases.encoders import current_encoder_digest

        if IntentClassifier.load(directory).encoder_digest != current_encoder_digest():
            raise ReleaseError(
                f"{release.name} was trained with another encoder than the one in use; "
                "train a new one with: python manage.py train_classifier"
            )


def _next_name(kind: str) -> str:
    """The next free name of the kind, such as classifier-0003: no release and no folder has it."""
    names = list(Release.objects.filter(kind=kind).values_list("name", flat=True))
    releases = Path(settings.RELEASES_DIR)
    names += [path.name for path in releases.iterdir()] if releases.is_dir() else []
    pattern = re.compile(rf"{re.escape(kind)}-(\d+)")
    numbers = [int(match[1]) for name in names if (match := pattern.fullmatch(name))]
    return f"{kind}-{max(numbers, default=0) + 1:04d}"
