"""Every error of our own, in one tree.

    FrontdeskError
    ├── ModelFilesError      model files are missing or damaged; names the file and what mends it
    │   └── InvalidArtifact  a release's files do not match its manifest
    ├── EngineError          the generator could not go on
    │   ├── EngineClosed     submitted after close(), or closed while running
    │   ├── EngineBusy       the engine's waiting line is full; worth another try
    │   └── PromptTooLong    the prompt leaves no room for an answer in the model's context
    ├── ClassifierError      a classifier could not be trained, or a message not be classified
    ├── GeneratorError       a generator could not be trained, or what came of it not be served
    ├── DatasetError         a dataset's rows or files cannot be read, or nothing is left to freeze
    ├── TracesRemain         what was erased may still be read off a disk; says where, and what to do
    ├── EvaluationError      releases cannot be judged, or the gate's rules not be read
    ├── RunStopped           a training run was cancelled, or somebody else has it
    ├── ReleaseError         a release can't be registered, promoted or rolled back
    │   └── GateClosed       its evaluation stands in the way of a candidate's promotion; says why
    ├── ImportFailed         a file given by an operator can't be read; nothing was changed
    ├── ExportFailed         a file asked for by an operator can't be written; what there was is kept
    ├── BrokerUnavailable    Redis does not answer; the database still has everything
    ├── IdentityRefused      a host page vouched for a visitor in a way that does not hold
    ├── Refused              a customer's command that was understood and not carried out
    │   ├── NotFound         it names something that does not exist or is somebody else's
    │   ├── Conflict         it no longer applies
    │   │   ├── StaleReview  somebody else has reviewed the turn meanwhile
    │   │   └── HandsChanged a colleague has the conversation, or it changed hands meanwhile
    │   ├── InvalidAddress   what a customer left is no e-mail address
    │   ├── FileRefused      a file that is not taken; `reason` says why in a word
    │   ├── AttachmentGone   a message names a file that can't be sent with it
    │   ├── ConversationClosed
    │   ├── Busy             too much is owed already; worth another try after `retry_after` seconds
    │   └── RateLimited      too fast; worth another try after `retry_after` seconds
    ├── LeaseLost            a worker wrote for an attempt that it no longer holds
    └── StartupError         the system can't start here; says what is in the way

Errors raised by bad arguments stay `ValueError` and `TypeError`.
"""

from __future__ import annotations

from pathlib import Path

__all__ = [
    "AttachmentGone",
    "BrokerUnavailable",
    "Busy",
    "ClassifierError",
    "Conflict",
    "ConversationClosed",
    "DatasetError",
    "EngineBusy",
    "EngineClosed",
    "EngineError",
    "EvaluationError",
    "ExportFailed",
    "FileRefused",
    "FrontdeskError",
    "GateClosed",
    "GeneratorError",
    "HandsChanged",
    "IdentityRefused",
    "ImportFailed",
    "InvalidAddress",
    "InvalidArtifact",
    "LeaseLost",
    "ModelFilesError",
    "NotFound",
    "PromptTooLong",
    "RateLimited",
    "Refused",
    "ReleaseError",
    "RunStopped",
    "StaleReview",
    "StartupError",
    "TracesRemain",
]


class FrontdeskError(Exception):
    """Base of every error that Frontdesk raises itself."""


class ModelFilesError(FrontdeskError):
    """Model files are missing or damaged. `path` is the culprit, `remedy` the command that mends it."""

    def __init__(self, problem: str, *, path: Path, remedy: str = "python manage.py prepare_models") -> None:
        super().__init__(f"{path}: {problem}. Mend it with: {remedy}")
        self.path = path
        self.remedy = remedy


class InvalidArtifact(ModelFilesError):
    """A release directory does not match its manifest."""


class EngineError(FrontdeskError):
    """The generator could not go on with this request."""


class EngineClosed(EngineError):
    """The engine was closed."""


class EngineBusy(EngineError):
    """Too many requests are waiting."""


class PromptTooLong(EngineError):
    """The prompt leaves no room for an answer in the model's context."""


class ClassifierError(FrontdeskError):
    """A classifier could not be trained, or a message not be classified."""


class GeneratorError(FrontdeskError):
    """A generator could not be trained, or what came of it could not be served."""


class DatasetError(FrontdeskError):
    """A dataset's rows or files cannot be read, or nothing is left to freeze."""


class TracesRemain(FrontdeskError):
    """What was erased may still be read off a disk: a broker or a database could not be made to let go of it."""


class EvaluationError(FrontdeskError):
    """Releases cannot be judged, or the gate's rules not be read."""


class RunStopped(FrontdeskError):
    """A training run was cancelled, or another worker has it by now; what was computed so far is dropped."""


class ReleaseError(FrontdeskError):
    """A release can't be registered, promoted or rolled back."""


class GateClosed(ReleaseError):
    """A candidate may not be promoted without somebody's word: it failed its gate or was not evaluated. Says why."""


class ImportFailed(FrontdeskError):
    """A file given by an operator can't be read. Names the file and the line; nothing was changed."""


class ExportFailed(FrontdeskError):
    """A file asked for by an operator can't be written. Names the file; what there was is kept."""


class BrokerUnavailable(FrontdeskError):
    """Redis does not answer."""


class IdentityRefused(FrontdeskError):
    """A host page vouched for a visitor in a way that does not hold."""


class Refused(FrontdeskError):
    """A customer's command that was understood and not carried out. The text is for the customer's eyes."""

    code = "refused"
    retry_after: float | None = None


class NotFound(Refused):
    """It names something that does not exist or is somebody else's; which of the two is not told."""

    code = "not_found"


class Conflict(Refused):
    """It no longer applies."""

    code = "conflict"


class StaleReview(Conflict):
    """The turn was reviewed, or a review of it taken back, since the page was opened; nothing was written."""


class HandsChanged(Conflict):
    """A colleague has the conversation, or it changed hands since the page was told; nothing was done."""

    code = "hands_changed"


class InvalidAddress(Refused):
    """What the customer left is no e-mail address."""

    code = "invalid_address"


class FileRefused(Refused):
    """A file that is not taken. `reason` is the word by which a page finds its own sentence for it."""

    code = "file"

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class AttachmentGone(Refused):
    """A message names a file that is somebody else's, was sent already, or was never finished; nothing was stored."""

    code = "attachment"


class ConversationClosed(Refused):
    """The conversation takes no more messages."""

    code = "closed"


class Busy(Refused):
    """Too many answers are owed already. `retry_after` is in seconds."""

    code = "busy"

    def __init__(self, detail: str, retry_after: float) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class RateLimited(Busy):
    """More messages than a person writes. `retry_after` is in seconds."""

    code = "rate_limited"


class LeaseLost(FrontdeskError):
    """A worker wrote for an attempt that it no longer holds; nothing was written."""


class StartupError(FrontdeskError):
    """The system can't start here. The text says what is in the way, in one line."""
