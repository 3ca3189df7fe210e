"""What operators fill in to launch a training: on which rows, from what, by which preset, and what it will take."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from django import forms

from chatbot.dashboard.wording import about
from chatbot.intents.wording import counted
from chatbot.releases.models import Kind, Release
from chatbot.releases.preparation import generator_directory
from chatbot.releases.selectors import trainable_generators
from chatbot.training.estimates import Estimate, estimate_classifier, estimate_generator
from chatbot.training.models import Dataset
from chatbot.training.selectors import approved_replies, datasets_to_train_on, rows_in
from chatbot.training.trainers.generator_recipe import CHOSEN, PRESETS

# What is chosen in place of a dataset's name.
FREEZE, CATALOGUE = "freeze", "catalogue"
_CLASSIFIER_PRESETS = {
    "fast": "Fast: a new head on the encoder as it is.",
    "full": "Full: tunes the encoder too. Understands more, above all where intents are close.",
}
_GENERATOR_PRESETS = {
    "quick": "Quick: one pass over the replies, at most 40 steps.",
    "standard": "Standard: two passes over the replies.",
}
_SEED_LIMIT = 2**31 - 1


class LaunchForm(forms.Form):
    """What both kinds ask for. `settings` are the fields that most people leave as they are."""

    kind: Kind
    settings: Sequence[str] = ("seed",)
    dataset = forms.ChoiceField(
        label="Learn from", help_text="Datasets are redacted, and hold only what customers agreed to."
    )
    preset = forms.ChoiceField(widget=forms.RadioSelect, label="Preset")
    seed = forms.IntegerField(
        min_value=0,
        max_value=_SEED_LIMIT,
        initial=0,
        label="Seed",
        help_text="The same number and the same rows give the same release again.",
    )
    evaluate = forms.BooleanField(
        required=False, initial=True, label="Judge it beside the current release as soon as it is trained"
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **options})
        self.frozen = {dataset.name: dataset for dataset in datasets_to_train_on(self.kind)}
        self._choose("dataset", self.dataset_choices())

    def dataset_choices(self) -> list[tuple[str, str]]:
        """What can be learned from, the recommended first."""
        raise NotImplementedError

    def estimate(self) -> Estimate:
        """For what stands in the form if it is valid, else for what it begins with."""
        raise NotImplementedError

    def parameters(self) -> dict[str, Any]:
        """What the training run is to be given."""
        wanted = {name: value for name, value in self.cleaned_data.items() if value not in (None, "", False)}
        wanted |= {"preset": self.cleaned_data["preset"], "seed": self.cleaned_data["seed"]}
        chosen = wanted.pop("dataset")
        if chosen == FREEZE:
            wanted["freeze"] = True
        elif chosen != CATALOGUE:
            wanted["dataset"] = chosen
        return wanted

    @property
    def estimate_words(self) -> str:
        """What it takes, as a sentence."""
        return estimate_words(self.estimate())

    @property
    def setting_fields(self) -> list[forms.BoundField]:
        """The fields that are folded away."""
        return [self[name] for name in self.settings]

    @property
    def has_setting_errors(self) -> bool:
        """Whether one of them needs to be seen."""
        return any(self[name].errors for name in self.settings)

    def _choose(self, name: str, choices: list[tuple[str, str]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = choices
        field.initial = field.initial or choices[0][0]

    def _chosen(self, name: str) -> Any:
        if self.is_bound and self.is_valid():
            return self.cleaned_data[name]
        return self.get_initial_for_field(self.fields[name], name)


class ClassifierLaunchForm(LaunchForm):
    """How to train a classifier. It is always trained anew, on the encoder in use."""

    kind = Kind.CLASSIFIER

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._choose(
            "preset",
            [
                (name, f"{what} {_preset_words(estimate_classifier(name))}")
                for name, what in _CLASSIFIER_PRESETS.items()
            ],
        )

    def dataset_choices(self) -> list[tuple[str, str]]:
        """With or without what reviewers corrected."""
        return [
            (FREEZE, "The catalogue and all reviewed conversations, frozen now"),
            (CATALOGUE, "The catalogue’s examples alone, as they are now"),
            *((name, _dataset_words(dataset, "intents", "text", "texts")) for name, dataset in self.frozen.items()),
        ]

    def estimate(self) -> Estimate:
        """The same whatever it learns from: next to the catalogue, reviews are few."""
        return estimate_classifier(self._chosen("preset"))


class GeneratorLaunchForm(LaunchForm):
    """How to train a generator. Numbers that are left empty are the preset's."""

    kind = Kind.GENERATOR
    settings = ("base", "adapt", *CHOSEN, "seed")
    base = forms.ChoiceField(required=False, label="Base", help_text="The adapter is trained on it and merged into it.")
    adapt = forms.BooleanField(
        required=False,
        label="Adapt to whole conversations first",
        help_text="Kept only if the loss on held-out replies falls by it.",
    )
    epochs = forms.IntegerField(
        required=False, min_value=1, max_value=50, label="Passes", help_text="Over all replies; empty: the preset’s."
    )
    max_steps = forms.IntegerField(
        required=False, min_value=1, max_value=100_000, label="Most steps", help_text="Where it ends early."
    )
    step_tokens = forms.IntegerField(
        required=False,
        min_value=128,
        max_value=65_536,
        label="Tokens a step",
        help_text="Smaller steps are more and rougher; with few replies they help. Empty: 4,096.",
    )
    learning_rate = forms.FloatField(
        required=False, min_value=1e-6, max_value=0.01, label="Learning rate", help_text="At its highest; empty: 0.002."
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._choose("preset", list(_GENERATOR_PRESETS.items()))
        base = f"{generator_directory().name}, the base model (recommended)"
        self._choose(
            "base", [("", base), *((release.name, _base_words(release)) for release in trainable_generators())]
        )

    def dataset_choices(self) -> list[tuple[str, str]]:
        """What reviewers accepted or wrote."""
        now = counted(self.waiting_replies, "approved reply", "approved replies")
        return [
            (FREEZE, f"What was reviewed until now, frozen now (at most {now})"),
            *((name, _dataset_words(dataset, "replies", "reply", "replies")) for name, dataset in self.frozen.items()),
        ]

    @cached_property
    def waiting_replies(self) -> int:
        """What a freeze could hold now."""
        return approved_replies()

    @property
    def has_rows(self) -> bool:
        """Whether there is anything to learn from."""
        return bool(self.frozen or self.waiting_replies)

    def estimate(self) -> Estimate:
        """By the numbers that stand in the form, over those of the preset."""
        given = {name: self._chosen(name) for name in CHOSEN}
        recipe = PRESETS[self._chosen("preset")].with_numbers(**{name: each for name, each in given.items() if each})
        dataset = self.frozen.get(self._chosen("dataset"))
        return estimate_generator(recipe, dataset, adapt=bool(self._chosen("adapt")))


FORMS: dict[str, type[LaunchForm]] = {Kind.CLASSIFIER: ClassifierLaunchForm, Kind.GENERATOR: GeneratorLaunchForm}


def estimate_words(estimate: Estimate) -> str:
    """What a training takes, as a sentence."""
    memory = f"{estimate.memory_mib / 1024:.1f} GB of memory"
    basis = "judged by the last one here" if estimate.is_measured else "on two cores that have nothing else to do"
    words = about(estimate.duration)
    return f"{words[0].upper()}{words[1:]} and {memory}, {basis}. While customers chat it gives way to them."


def _preset_words(estimate: Estimate) -> str:
    memory = f"about {estimate.memory_mib / 1024:.1f} GB of memory"
    if estimate.is_measured:
        return f"The last one took {about(estimate.duration)}; it needs {memory}."
    return f"Expect {about(estimate.duration)} on two cores, less on more, and {memory}."


def _dataset_words(dataset: Dataset, file: str, noun: str, plural: str) -> str:
    rows = counted(rows_in(dataset, f"{file}.train.jsonl"), noun, plural)
    return f"{dataset.name}, {dataset.created_at:%-d %b %Y}: {rows}"


def _base_words(release: Release) -> str:
    return f"{release.name}, from {release.base}" if release.base else release.name
