"""Files of a dataset on their way out of the system, and who took them."""

from __future__ import annotations

from collections.abc import Iterator

from auditlog.models import LogEntry
from django.contrib.auth.models import AbstractBaseUser
from django.contrib.contenttypes.models import ContentType

from chatbot.exceptions import DatasetError
from chatbot.training.dataset_files import MANIFEST, ROW_KINDS, open_dataset
from chatbot.training.models import Dataset

DOWNLOADS = (*ROW_KINDS, MANIFEST)
_CHARACTERS = 1 << 18


def download(*, dataset: Dataset, file: str, actor: AbstractBaseUser) -> Iterator[str]:
    """One of DOWNLOADS in pieces, noted in the audit log; an erasure meanwhile does not change it half way.

    Raises DatasetError where the dataset is not as it was frozen or has no such file.
    """
    if file not in DOWNLOADS:
        raise DatasetError(f"{dataset.name} has no file {file!r}.")
    stream = (open_dataset(dataset).directory / file).open(encoding="utf-8", newline="")
    LogEntry.objects.create(
        content_type=ContentType.objects.get_for_model(Dataset),
        object_pk=str(dataset.pk),
        object_id=dataset.pk,
        object_repr=dataset.name,
        action=LogEntry.Action.ACCESS,
        changes={"download": ["", file]},
        additional_data={"file": file, "digest": dataset.digest},
        actor=actor,
    )

    def pieces() -> Iterator[str]:
        with stream:
            while piece := stream.read(_CHARACTERS):
                yield piece

    return pieces()
