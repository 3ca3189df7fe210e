"""Frozen datasets, evaluations, and long work on the training queue with its progress and what came of it."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from chatbot.releases.models import Release


class TrainingRun(models.Model):
    """One long piece of training work that a person asked for.

    It is claimed by a worker under a lease, as turns are: while it is not terminal somebody works on it or will.
    `result` holds figures and the ids and keys of examples, never their words: what is deleted from the catalogue is
    gone here too.
    """

    class Kind(models.TextChoices):
        CROSS_VALIDATION = "cross-validation", "Cross-validation of the catalogue"
        CLASSIFIER = "classifier", "Classifier"
        GENERATOR = "generator", "Generator"
        EVALUATION = "evaluation", "Evaluation"
        PREVIEW = "preview", "Preview of a dataset"
        FREEZE = "freeze", "Freezing of a dataset"

    # Those that end with a release.
    TRAININGS = (Kind.CLASSIFIER, Kind.GENERATOR)

    class Status(models.TextChoices):
        QUEUED = "queued", "Waiting"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    OPEN = (Status.QUEUED, Status.RUNNING)

    kind = models.CharField(max_length=24, choices=Kind.choices)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.QUEUED)
    parameters = models.JSONField(default=dict)
    dataset_digest = models.CharField(max_length=64, blank=True)
    message = models.CharField(max_length=200, blank=True)
    share = models.FloatField(null=True, blank=True, help_text="How much is done, 0 to 1; empty where nobody can say.")
    log = models.TextField(blank=True, help_text="The last lines of what it said of itself.")
    result = models.JSONField(default=dict, blank=True)
    release = models.ForeignKey(
        Release, models.SET_NULL, null=True, blank=True, related_name="runs", help_text="What came of it."
    )
    error = models.CharField(max_length=400, blank=True)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    requested_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    attempt = models.PositiveIntegerField(default=0)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    nudged_at = models.DateTimeField(null=True, blank=True)
    cancel_requested = models.BooleanField(default=False)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["kind"],
                condition=models.Q(status__in=["queued", "running"]),
                name="one_open_training_run_of_a_kind",
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.pk} ({self.status})"

    @property
    def is_open(self) -> bool:
        """Whether it waits or runs."""
        return self.status in self.OPEN


class CurvePoint(models.Model):
    """What a training run measured of itself at one step; the points of a run are its learning curves."""

    run = models.ForeignKey(TrainingRun, models.CASCADE, related_name="points")
    step = models.PositiveIntegerField()
    loss = models.FloatField(null=True)
    held_out_loss = models.FloatField(null=True)
    learning_rate = models.FloatField(null=True)
    tokens_per_s = models.FloatField(null=True)

    class Meta:
        ordering = ["run", "step"]
        constraints = [models.UniqueConstraint(fields=["run", "step"], name="curve_point_once_a_step")]

    def __str__(self) -> str:
        return f"Step {self.step} of run {self.run_id}"


class Dataset(models.Model):
    """A frozen, redacted snapshot of reviewed conversations and examples: a folder of JSONL files and its manifest.

    It changes in one way only: the rows of a person who is to be forgotten are taken out, which gives it another
    digest. The earlier ones are kept, since releases name what they were trained on by digest.
    """

    name = models.CharField(max_length=80, unique=True, help_text="Such as dataset-0001.")
    path = models.CharField(max_length=400, help_text="Relative to the folder that holds what the system writes.")
    digest = models.CharField(max_length=64, db_index=True)
    manifest = models.JSONField(default=dict)
    note = models.TextField(blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    run = models.OneToOneField(
        TrainingRun, models.SET_NULL, null=True, blank=True, related_name="dataset", help_text="What froze it."
    )
    former_digests = models.JSONField(default=list, blank=True)
    erased_rows = models.PositiveIntegerField(default=0)
    erased_at = models.DateTimeField(null=True, blank=True, help_text="When rows were last taken out of it.")

    class Meta:
        ordering = ["-id"]
        permissions = [("download_dataset", "Can download datasets")]

    def __str__(self) -> str:
        return self.name

    @property
    def digests(self) -> list[str]:
        """All that it ever had, the present one first."""
        return [self.digest, *reversed(self.former_digests)]


class Erasure(models.Model):
    """The wish to forget a customer while it is open, and the receipt for it afterwards, which names nobody.

    `visitor` is known until their rows are deleted; `finished_at` is set once no trace is left on a disk.
    """

    visitor = models.UUIDField(null=True, editable=False, unique=True)
    visitor_digest = models.CharField(
        "hash of the visitor's id", max_length=64, db_index=True, help_text="SHA-256; whoever has the id can compare."
    )
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    requested_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    counts = models.JSONField(default=dict, help_text="What was deleted, by kind.")
    datasets = models.JSONField(default=list, help_text="Names of those that rows were taken out of.")
    releases = models.JSONField(default=list, help_text="Names of those that were trained on such rows.")
    problem = models.CharField(max_length=400, blank=True, help_text="Why it has not ended yet.")

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        permissions = [("erase_visitor", "Can erase visitors")]

    def __str__(self) -> str:
        return f"Erasure {self.pk}"

    @property
    def is_open(self) -> bool:
        """Whether something is still to be done."""
        return self.finished_at is None


class Evaluation(models.Model):
    """What a release did on held-out rows, beside the one that was served then, and what the gate said of it.

    `report` holds figures, and the ids of rows where it must, never their words (`evaluation.classifiers`,
    `evaluation.generators`); `gates` is a list of `evaluation.gates.GateResult`.
    """

    candidate = models.ForeignKey(Release, models.PROTECT, related_name="evaluations")
    baseline = models.ForeignKey(Release, models.PROTECT, null=True, blank=True, related_name="+")
    source = models.CharField(max_length=200, help_text="The dataset or file that the rows come from.")
    dataset = models.ForeignKey(Dataset, models.SET_NULL, null=True, blank=True, related_name="evaluations")
    rows_digest = models.CharField(max_length=64)
    report = models.JSONField(default=dict)
    gates = models.JSONField(default=list)
    passed = models.BooleanField(default=False, help_text="No rule stands in the way of promotion.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["candidate", "-id"], name="evaluation_newest_of_release")]

    def __str__(self) -> str:
        return f"{self.candidate} on {self.source}"


class ReplyPair(models.Model):
    """What two generators wrote for the same held-out row, for people to judge without knowing which wrote which.

    The question is redacted, as the dataset has it; `conversation` is where it comes from, so that erasing a person
    reaches it.
    """

    evaluation = models.ForeignKey(Evaluation, models.CASCADE, related_name="pairs")
    row = models.CharField(max_length=200)
    conversation = models.CharField(max_length=64, blank=True, db_index=True)
    question = models.TextField()
    sources = models.JSONField(default=list, help_text="Title and text of the passages that both had.")
    candidate_reply = models.TextField()
    baseline_reply = models.TextField()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"Pair {self.pk} of evaluation {self.evaluation_id}"


class ReplyVote(models.Model):
    """Which of a pair's replies a member of staff found better, and how they were shown."""

    class Choice(models.TextChoices):
        CANDIDATE = "candidate", "The candidate's"
        BASELINE = "baseline", "The current release's"
        TIE = "tie", "Neither"

    pair = models.ForeignKey(ReplyPair, models.CASCADE, related_name="votes")
    choice = models.CharField(max_length=10, choices=Choice.choices)
    candidate_first = models.BooleanField(help_text="The candidate's reply was shown first.")
    voter = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    voted_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["pair", "voter"], name="one_vote_a_pair_and_voter")]

    def __str__(self) -> str:
        return f"{self.get_choice_display()} of {self.pair}"
