from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms

from chatbot.conversations.protocol import MAX_TEXT


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
        # Forms send line ends as CR LF; messages hold LF.
        return str(self.cleaned_data["text"]).replace("\r\n", "\n")
