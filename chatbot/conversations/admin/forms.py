"""What staff fill in at the support desk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms

from chatbot.conversations.models import Review
from chatbot.conversations.protocol import MAX_TEXT
from chatbot.conversations.reviews import Judgement
from chatbot.exceptions import Refused
from chatbot.intents.labels import LONGEST_SLUG
from chatbot.intents.models import Intent
from chatbot.intents.services import create_intent


class ReplyForm(forms.Form):
    """What a person answers. Held to the same length as a customer's message."""

    text = forms.CharField(
        label="Your reply",
        max_length=MAX_TEXT,
        widget=forms.Textarea(attrs={"rows": 3, "placeholder": "Write to the customer…", "class": "fd-reply-text"}),
    )

    def __init__(self, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(data, label_suffix="")

    def clean_text(self) -> str:
        return _unbroken(self.cleaned_data["text"])


class ReviewForm(forms.Form):
    """What a reviewer decides about a turn. Both halves may be left open.

    `decision` says which intent: the slug of a suggestion, or one of the values below.
    """

    # No slug has a colon.
    OPEN, OTHER, NEW, OUT_OF_SCOPE = "", ":other", ":new", ":out-of-scope"

    decision = forms.ChoiceField(required=False)
    other = forms.ModelChoiceField(
        Intent.objects.filter(is_active=True), required=False, to_field_name="slug", empty_label="Choose an intent…"
    )
    new_name = forms.CharField(required=False, max_length=LONGEST_SLUG)
    verdict = forms.ChoiceField(choices=[("", "Not judged"), *Review.Verdict.choices], required=False)
    edited_reply = forms.CharField(required=False, max_length=MAX_TEXT, widget=forms.Textarea(attrs={"rows": 6}))
    note = forms.CharField(required=False, max_length=MAX_TEXT, widget=forms.Textarea(attrs={"rows": 2}))
    seen_version = forms.IntegerField(min_value=0, widget=forms.HiddenInput)

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        suggested: Sequence[str],
        reply: str | None,
        may_create: bool,
        initial: dict[str, Any] | None = None,
    ) -> None:
        """`suggested` are the slugs that are offered at once; `reply` is the bot's, None where there was none."""
        super().__init__(data, initial=initial, label_suffix="")
        self._reply = reply
        named = [self.OPEN, *suggested, self.OTHER, self.OUT_OF_SCOPE, *([self.NEW] if may_create else [])]
        decision = self.fields["decision"]
        assert isinstance(decision, forms.ChoiceField)
        self.fields["other"].widget.attrs["data-combobox"] = ""
        decision.choices = [(value, value) for value in named]
        if not may_create:
            del self.fields["new_name"]
        if reply is None:
            del self.fields["verdict"], self.fields["edited_reply"]

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        decision = given.get("decision", "")
        if decision == self.OPEN and given.get("other"):
            # Without scripts nothing ticks the choice for whoever picks an intent from the list.
            decision = given["decision"] = self.OTHER
        if decision == self.OTHER and not given.get("other") and "other" not in self.errors:
            self.add_error("other", "Choose the intent, or another answer above.")
        if decision == self.NEW and not given.get("new_name") and "new_name" not in self.errors:
            self.add_error("new_name", "Give the new intent a name.")
        if given.get("verdict") == Review.Verdict.EDITED and "edited_reply" not in self.errors:
            self._check_edited(given.get("edited_reply", ""))
        if not (self.errors or decision or given.get("verdict") or given.get("note")):
            raise forms.ValidationError("Say what the customer wanted or judge the reply, or choose “Later”.")
        return given

    def _check_edited(self, edited: str) -> None:
        if not edited:
            self.add_error("edited_reply", "Write what the bot should have said, or reject the reply.")
        elif _unbroken(edited) == _unbroken(self._reply or ""):
            self.add_error("edited_reply", "These are the bot's own words. Change them, or accept the reply.")

    def judgement(self) -> Judgement:
        """What was decided; creates the intent where a new one was named.

        Raises:
            Refused: the new intent's name cannot be taken, or a suggested one is gone.
        """
        given = self.cleaned_data
        verdict = given.get("verdict", "")
        return Judgement(
            intent=self._intent(given["decision"]),
            out_of_scope=given["decision"] == self.OUT_OF_SCOPE,
            verdict=verdict,
            edited_reply=_unbroken(given["edited_reply"]) if verdict == Review.Verdict.EDITED else "",
            note=_unbroken(given["note"]),
        )

    def _intent(self, decision: str) -> Intent | None:
        if decision in (self.OPEN, self.OUT_OF_SCOPE):
            return None
        if decision == self.NEW:
            return create_intent(name=self.cleaned_data["new_name"])
        if decision == self.OTHER:
            chosen: Intent = self.cleaned_data["other"]
            return chosen
        suggested = Intent.objects.filter(slug=decision).first()
        if suggested is None:
            raise Refused("This intent has just left the catalogue. Choose another.")
        return suggested


def _unbroken(text: str) -> str:
    """Forms send line ends as CR LF; messages hold LF."""
    return text.replace("\r\n", "\n").strip()
