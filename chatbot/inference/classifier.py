"""An intent head over unit-length features, with calibrated confidence and an out-of-scope decision.

The head is linear; where `vote` is given, near training examples vote beside it (`neighbours`).

Pure numpy: a prediction costs microseconds once the text is embedded. Stored as safetensors and JSON, never pickle.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chatbot.exceptions import ClassifierError, InvalidArtifact
from chatbot.inference.neighbours import NeighbourVote
from chatbot.inference.out_of_scope import Geometry, OutOfScopeRule, ScorePart, softmax, strangeness
from chatbot.inference.predictions import Prediction, RankedIntent

WEIGHTS_FILE = "classifier.safetensors"
DESCRIPTION_FILE = "classifier.json"
# Raised when the meaning of a file changes, so that old code refuses new files instead of misreading them.
FORMAT = 3
_VOTERS, _VOTER_COUNTS = "voters", "voter_counts"
_REMEDY = "python manage.py train_classifier --promote"


@dataclass(frozen=True, eq=False)
class IntentClassifier:
    """The head: `weights` are [intents, dimension], `bias` is [intents], both float32.

    Features are the embeddings of the base encoder, or of one that was tuned from it (`text_classifier`).
    """

    intents: tuple[str, ...]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    geometry: Geometry
    temperature: float
    out_of_scope: OutOfScopeRule
    encoder_digest: str
    # Empty where the head reads the base encoder.
    tuned_digest: str = ""
    vote: NeighbourVote | None = None

    def __post_init__(self) -> None:
        count = len(self.intents)
        if count < 2 or len(set(self.intents)) != count:
            raise ValueError("a classifier needs at least two intents, each once")
        if self.weights.ndim != 2 or self.weights.shape[0] != count or self.weights.shape[1] == 0:
            raise ValueError(f"weights of shape {self.weights.shape} for {count} intents")
        tensors = self.geometry.tensors()
        if self.bias.shape != (count,) or self.geometry.centres.shape != self.weights.shape:
            raise ValueError("bias or centres do not fit the weights")
        if any(array.shape[-1:] != self.weights.shape[1:] for array in tensors.values()):
            raise ValueError("the geometry does not fit the weights")
        if not all(np.isfinite(array).all() for array in (self.weights, self.bias, *tensors.values())):
            raise ValueError("weights that are not finite")
        if self.vote is not None and (
            self.vote.counts.shape != (count,) or self.vote.examples.shape[1:] != self.weights.shape[1:]
        ):
            raise ValueError("the voting examples do not fit the weights")
        for part in self.out_of_scope.parts:
            if not self.geometry.has(part.name):
                raise ValueError(f"the geometry lacks what the score {part.name} needs")
        if not 0 < self.temperature < float("inf"):
            raise ValueError("the temperature must be positive")

    @property
    def dimension(self) -> int:
        """The length of the features that this head reads."""
        return int(self.weights.shape[1])

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Uncalibrated scores, shape [n, intents]."""
        if features.ndim != 2 or features.shape[1] != self.dimension:
            raise ClassifierError(
                f"The classifier reads features of length {self.dimension}, not an array of shape "
                f"{features.shape}; it was trained with another encoder."
            )
        linear: NDArray[np.float64] = (features @ self.weights.T + self.bias).astype(np.float64)
        return linear if self.vote is None else linear + self.vote.logits(features)

    def probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Calibrated probabilities, shape [n, intents]; rows sum to 1."""
        return softmax(self.logits(features) / self.temperature)

    def out_of_scope_scores(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """How strange each text is, shape [n]."""
        return self._strangeness(features, self.logits(features))

    def predict(self, features: NDArray[np.float32]) -> list[Prediction]:
        """One prediction for each row. Raises ClassifierError where the rows are not this head's features."""
        logits = self.logits(features)
        probabilities = softmax(logits / self.temperature)
        scores = self._strangeness(features, logits)
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

    def _strangeness(self, features: NDArray[np.float32], logits: NDArray[np.float64]) -> NDArray[np.float64]:
        rule = self.out_of_scope
        return rule.combine({part.name: strangeness(part.name, features, logits, self.geometry) for part in rule.parts})

    def save(self, directory: Path) -> None:
        """Write the two files into `directory`."""
        from safetensors.numpy import save_file

        directory.mkdir(parents=True, exist_ok=True)
        tensors = {"weights": self.weights, "bias": self.bias, **self.geometry.tensors()}
        if self.vote is not None:
            tensors |= {_VOTERS: self.vote.examples, _VOTER_COUNTS: self.vote.counts.astype(np.float32)}
        save_file({name: np.ascontiguousarray(array) for name, array in tensors.items()}, directory / WEIGHTS_FILE)
        description = {
            "format": FORMAT,
            "intents": self.intents,
            "temperature": self.temperature,
            "out_of_scope": asdict(self.out_of_scope),
            "encoder_digest": self.encoder_digest,
            "tuned_digest": self.tuned_digest,
            "vote": self.vote.weight if self.vote else None,
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
                weights=tensors.pop("weights"),
                bias=tensors.pop("bias"),
                vote=_pop_vote(tensors, description["vote"]),
                geometry=Geometry(**tensors),
                temperature=float(description["temperature"]),
                out_of_scope=_read_rule(description["out_of_scope"]),
                encoder_digest=str(description["encoder_digest"]),
                tuned_digest=str(description.get("tuned_digest", "")),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidArtifact(
                f"the classifier's parts do not fit together ({error})",
                path=directory / DESCRIPTION_FILE,
                remedy=_REMEDY,
            ) from error


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


def _read_rule(described: dict[str, Any]) -> OutOfScopeRule:
    parts = tuple(ScorePart(part["name"], float(part["mean"]), float(part["deviation"])) for part in described["parts"])
    return OutOfScopeRule(parts, float(described["threshold"]))


def _pop_vote(tensors: dict[str, NDArray[np.float32]], weight: float | None) -> NeighbourVote | None:
    if weight is None:
        return None
    return NeighbourVote(tensors.pop(_VOTERS), tensors.pop(_VOTER_COUNTS).astype(np.int64), float(weight))


def _read_tensors(path: Path) -> dict[str, NDArray[np.float32]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return {name: np.asarray(array, dtype=np.float32) for name, array in load_file(path).items()}
    except FileNotFoundError:
        raise InvalidArtifact("the file is missing", path=path, remedy=_REMEDY) from None
    except (OSError, SafetensorError) as error:
        raise InvalidArtifact(f"not a readable safetensors file ({error})", path=path, remedy=_REMEDY) from error
