"""A linear intent head over unit-length embeddings, with calibrated confidence and an out-of-scope decision.

Pure numpy: a prediction costs microseconds once the text is embedded. Stored as safetensors and JSON, never pickle.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from chatbot.exceptions import ClassifierError, InvalidArtifact
from chatbot.inference.predictions import Prediction, RankedIntent

WEIGHTS_FILE = "classifier.safetensors"
DESCRIPTION_FILE = "classifier.json"
# Raised when the meaning of a file changes, so that old code refuses new files instead of misreading them.
FORMAT = 1
_REMEDY = "python manage.py train_classifier --promote"

ScoreName = Literal["energy", "distance", "blend"]


@dataclass(frozen=True, slots=True)
class OutOfScopeRule:
    """How strangeness is scored, and the score above which a text is out of scope.

    `energy` is the negative log-sum-exp of the logits; `distance` is one minus the cosine to the nearest intent's
    centre; `blend` is the mean of the two, each standardised with the mean and deviation it has on in-scope text.
    """

    score: ScoreName
    threshold: float
    energy_mean: float = 0.0
    energy_deviation: float = 1.0
    distance_mean: float = 0.0
    distance_deviation: float = 1.0

    def __post_init__(self) -> None:
        if self.score not in get_args(ScoreName):
            raise ValueError(f"unknown out-of-scope score {self.score!r}")
        if not self.energy_deviation > 0 or not self.distance_deviation > 0:
            raise ValueError("a standard deviation must be positive")

    def combine(self, energy: NDArray[np.float64], distance: NDArray[np.float64]) -> NDArray[np.float64]:
        """The scores, shape [n], from both raw scores."""
        if self.score == "energy":
            return energy
        if self.score == "distance":
            return distance
        return 0.5 * (energy - self.energy_mean) / self.energy_deviation + 0.5 * (
            (distance - self.distance_mean) / self.distance_deviation
        )


@dataclass(frozen=True, eq=False)
class IntentClassifier:
    """The head: `weights` and `centres` are [intents, dimension], `bias` is [intents], all float32."""

    intents: tuple[str, ...]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    centres: NDArray[np.float32]
    temperature: float
    out_of_scope: OutOfScopeRule
    encoder_digest: str

    def __post_init__(self) -> None:
        count = len(self.intents)
        if count < 2 or len(set(self.intents)) != count:
            raise ValueError("a classifier needs at least two intents, each once")
        if self.weights.ndim != 2 or self.weights.shape[0] != count or self.weights.shape[1] == 0:
            raise ValueError(f"weights of shape {self.weights.shape} for {count} intents")
        if self.bias.shape != (count,) or self.centres.shape != self.weights.shape:
            raise ValueError("bias or centres do not fit the weights")
        if not all(np.isfinite(array).all() for array in (self.weights, self.bias, self.centres)):
            raise ValueError("weights that are not finite")
        if not 0 < self.temperature < float("inf"):
            raise ValueError("the temperature must be positive")

    @property
    def dimension(self) -> int:
        """The length of the embeddings that this head reads."""
        return int(self.weights.shape[1])

    def logits(self, embeddings: NDArray[np.float32]) -> NDArray[np.float64]:
        """Uncalibrated scores, shape [n, intents]."""
        if embeddings.ndim != 2 or embeddings.shape[1] != self.dimension:
            raise ClassifierError(
                f"The classifier reads embeddings of length {self.dimension}, not an array of shape "
                f"{embeddings.shape}; it was trained with another encoder."
            )
        return (embeddings @ self.weights.T + self.bias).astype(np.float64)

    def probabilities(self, embeddings: NDArray[np.float32]) -> NDArray[np.float64]:
        """Calibrated probabilities, shape [n, intents]; rows sum to 1."""
        return softmax(self.logits(embeddings) / self.temperature)

    def out_of_scope_scores(self, embeddings: NDArray[np.float32]) -> NDArray[np.float64]:
        """How strange each text is, shape [n]."""
        return self.out_of_scope.combine(energy(self.logits(embeddings)), centre_distance(embeddings, self.centres))

    def predict(self, embeddings: NDArray[np.float32]) -> list[Prediction]:
        """One prediction for each row. Raises ClassifierError where the rows are not this head's embeddings."""
        probabilities = self.probabilities(embeddings)
        scores = self.out_of_scope_scores(embeddings)
        orders = np.argsort(-probabilities, axis=1, kind="stable")
        return [
            Prediction(
                ranking=tuple(RankedIntent(self.intents[index], float(row[index])) for index in order),
                out_of_scope=bool(score > self.out_of_scope.threshold),
                out_of_scope_score=float(score),
                threshold=self.out_of_scope.threshold,
            )
            for row, score, order in zip(probabilities, scores, orders, strict=True)
        ]

    def save(self, directory: Path) -> None:
        """Write the two files into `directory`."""
        from safetensors.numpy import save_file

        directory.mkdir(parents=True, exist_ok=True)
        tensors = {"weights": self.weights, "bias": self.bias, "centres": self.centres}
        save_file({name: np.ascontiguousarray(array) for name, array in tensors.items()}, directory / WEIGHTS_FILE)
        description = {
            "format": FORMAT,
            "intents": self.intents,
            "temperature": self.temperature,
            "out_of_scope": asdict(self.out_of_scope),
            "encoder_digest": self.encoder_digest,
        }
        (directory / DESCRIPTION_FILE).write_text(
            json.dumps(description, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )

    @classmethod
    def load(cls, directory: Path) -> IntentClassifier:
        """Read what `save` wrote. Raises InvalidArtifact naming the file and what is wrong with it."""
        description = _read_description(directory / DESCRIPTION_FILE)
        tensors = _read_tensors(directory / WEIGHTS_FILE)
        try:
            return cls(
                intents=tuple(str(intent) for intent in description["intents"]),
                weights=tensors["weights"],
                bias=tensors["bias"],
                centres=tensors["centres"],
                temperature=float(description["temperature"]),
                out_of_scope=OutOfScopeRule(**description["out_of_scope"]),
                encoder_digest=str(description["encoder_digest"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidArtifact(
                f"the classifier's parts do not fit together ({error})",
                path=directory / DESCRIPTION_FILE,
                remedy=_REMEDY,
            ) from error


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Row-wise softmax that does not overflow."""
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    normalised: NDArray[np.float64] = raised / raised.sum(axis=1, keepdims=True)
    return normalised


def energy(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Negative log-sum-exp of each row: high where no intent's logit stands out."""
    highest = logits.max(axis=1)
    result: NDArray[np.float64] = -(highest + np.log(np.exp(logits - highest[:, None]).sum(axis=1)))
    return result


def centre_distance(embeddings: NDArray[np.float32], centres: NDArray[np.float32]) -> NDArray[np.float64]:
    """One minus the cosine of each row to the nearest of the unit-length centres."""
    result: NDArray[np.float64] = (1.0 - (embeddings @ centres.T).max(axis=1)).astype(np.float64)
    return result


def _read_description(path: Path) -> dict[str, Any]:
    try:
        description: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        written = description["format"]
    except FileNotFoundError:
        raise InvalidArtifact("the file is missing", path=path, remedy=_REMEDY) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidArtifact(f"not a readable description ({error})", path=path, remedy=_REMEDY) from error
    if written != FORMAT:
        raise InvalidArtifact(f"format {written!r} is not format {FORMAT}", path=path, remedy=_REMEDY)
    return description


def _read_tensors(path: Path) -> dict[str, NDArray[np.float32]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return {name: np.asarray(array, dtype=np.float32) for name, array in load_file(path).items()}
    except FileNotFoundError:
        raise InvalidArtifact("the file is missing", path=path, remedy=_REMEDY) from None
    except (OSError, SafetensorError) as error:
        raise InvalidArtifact(f"not a readable safetensors file ({error})", path=path, remedy=_REMEDY) from error
