"""Models that are named as on the Hugging Face Hub, brought to disk once.

Safetensors, tokenizers and configurations alone: pickled weights would be a stranger's code that runs here.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from chatbot.exceptions import ModelFilesError
from chatbot.inference.weights import Progress

# Which revision a folder holds. Written last: a folder without it was never finished. No suffix, so that it is no part
# of what identifies an encoder.
REVISION_FILE = "HUB_REVISION"
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_WANTED = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja", "LICENSE*"]
# The same model once more, for other programs.
_LEFT_OUT = ["onnx/*", "openvino/*"]


def is_hub_name(named: str) -> bool:
    """Whether it reads like `owner/model` and is no path of this machine."""
    return _NAME.fullmatch(named) is not None and not Path(named).exists()


def model_folder(named: str, models_dir: Path) -> Path:
    """The folder that a setting names: a path as it is, or where the hub's model of that name lies."""
    return models_dir / "hub" / named.replace("/", "--") if is_hub_name(named) else Path(named)


def is_fetched(folder: Path) -> bool:
    """Whether the folder is a whole model of the hub."""
    return (folder / REVISION_FILE).is_file()


def fetch_model(named: str, models_dir: Path, progress: Progress | None = None, endpoint: str | None = None) -> Path:
    """Bring the hub's model to `model_folder`, unless it is there; an interrupted download goes on.

    A model that is private or gated takes the token in HF_TOKEN. `endpoint` is another hub than the public one, as
    HF_ENDPOINT. Raises ModelFilesError.
    """
    folder = model_folder(named, models_dir)
    if is_fetched(folder):
        return folder
    from httpx2 import HTTPError
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

    if progress:
        progress(f"Downloading {named}", None)
    try:
        revision = HfApi(endpoint=endpoint).model_info(named).sha
        snapshot_download(
            named,
            revision=revision,
            local_dir=folder,
            endpoint=endpoint,
            allow_patterns=_WANTED,
            ignore_patterns=_LEFT_OUT,
        )
    except RepositoryNotFoundError as error:
        raise ModelFilesError(
            "the hub has no model of this name that anybody may read",
            path=Path(named),
            remedy="correct the name, or set HF_TOKEN to a token that may read it",
        ) from error
    except (HfHubHTTPError, HTTPError, OSError) as error:
        raise ModelFilesError(
            f"it could not be downloaded ({type(error).__name__})",
            path=Path(named),
            remedy="try again, or name a folder that holds the model",
        ) from error
    if not any(folder.glob("*.safetensors")):
        shutil.rmtree(folder)
        raise ModelFilesError(
            "it has no weights in safetensors", path=Path(named), remedy="choose a model that has, or convert it"
        )
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    (folder / REVISION_FILE).write_text(f"{named} {revision}\n", encoding="utf-8")
    return folder
