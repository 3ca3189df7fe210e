"""What operators fill in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django import forms

from chatbot.dashboard.wording import roughly
from chatbot.training.cross_validation import FEWEST_FOLDS, MOST_FOLDS
from chatbot.training.curation.options import LARGEST_HELD_OUT_SHARE, SEED_LIMIT, CurationOptions
from chatbot.training.promotions import Standing

_PRESETS = {
    "fast": "Fast: finds most of what there is to mend, in seconds.",
    "full": "Full: tunes the encoder too, once for each part. It takes minutes, or hours for thousands of examples.",
}


class CatalogueCheckForm(forms.Form):
    """How to check. `durations` say how long the last check by each preset took, where there was one."""

    preset = forms.ChoiceField(widget=forms.RadioSelect, initial="fast", label="How thoroughly")
    folds = forms.IntegerField(
        min_value=FEWEST_FOLDS,
        max_value=MOST_FOLDS,
        initial=5,
        label="Parts",
        help_text="Each part of the examples is judged by a classifier trained on the others. 5 is usual.",
    )
    seed = forms.IntegerField(
        min_value=0,
        max_value=2**31 - 1,
        initial=0,
        label="Seed",
        help_text="Another number deals the examples differently. The same number gives the same report again.",
    )

    def __init__(self, *args: Any, durations: Mapping[str, timedelta | None], **options: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **options})
        preset = self.fields["preset"]
        assert isinstance(preset, forms.ChoiceField)
        preset.choices = [(name, f"{what}{_last(durations.get(name))}") for name, what in _PRESETS.items()]


class FreezeForm(forms.Form):
    """What to freeze, as `options`, and what for."""

    held_out_percent = forms.IntegerField(
        min_value=0,
        max_value=round(100 * LARGEST_HELD_OUT_SHARE),
        label="Held out, %",
        help_text="Of the reviewed conversations, to measure on instead of training.",
    )
    per_visitor = forms.IntegerField(
        min_value=1,
        max_value=1_000_000,
        label="Rows of one customer",
        help_text="At most so many in each file, so that nobody who writes a lot decides what is learned.",
    )
    seed = forms.IntegerField(
        min_value=0,
        max_value=SEED_LIMIT - 1,
        label="Seed",
        help_text="Draws which rows of a customer are kept. The same number gives the same dataset again.",
    )
    note = forms.CharField(
        max_length=500,
        required=False,
        label="Note",
        help_text="What it is for. Kept with the dataset.",
    )

    def __init__(self, *args: Any, options: CurationOptions | None = None, **others: Any) -> None:
        shown = options or CurationOptions()
        initial = {
            "held_out_percent": round(100 * shown.held_out_share),
            "per_visitor": shown.per_visitor,
            "seed": shown.seed,
        }
        super().__init__(*args, **{"label_suffix": "", "initial": initial, **others})

    @property
    def options(self) -> CurationOptions:
        """Of a valid form."""
        chosen = self.cleaned_data
        return CurationOptions(chosen["held_out_percent"] / 100, chosen["per_visitor"], chosen["seed"])


class PromotionForm(forms.Form):
    """Why a release is made current; and where its gate stands in the way, why it should be all the same."""

    reason = forms.CharField(
        max_length=2000,
        label="Reason",
        help_text="Kept in the registry for good.",
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    override = forms.CharField(
        max_length=2000,
        label="Why it should be promoted although its gate stands in the way",
        help_text="Kept in the registry and in the audit log, with your name.",
        widget=forms.Textarea(attrs={"rows": 3}),
    )

    def __init__(self, *args: Any, standing: Standing, **options: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **options})
        if not standing.obstacles:
            del self.fields["override"]
        if standing.evaluation and standing.evaluation.passed:
            self.fields["reason"].initial = f"It passed its gate on {standing.evaluation.source}."


class RollbackForm(forms.Form):
    """Why the present release goes."""

    reason = forms.CharField(
        max_length=2000,
        label="Reason",
        help_text="Kept in the registry for good.",
        widget=forms.Textarea(attrs={"rows": 2}),
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **options})


def _last(duration: timedelta | None) -> str:
    return f" The last one took {roughly(duration)}." if duration else ""
