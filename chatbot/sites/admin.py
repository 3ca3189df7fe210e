"""Sites in the admin: what the page has to write, and everything that may be set."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin

from chatbot.sites.models import Site


class SiteForm(forms.ModelForm[Site]):
    """The secret is written, never shown again."""

    new_identity_key = forms.CharField(
        label="Identity key",
        required=False,
        strip=True,
        widget=forms.Textarea(attrs={"rows": 4, "class": "vLargeTextField", "autocomplete": "off"}),
        help_text=Site._meta.get_field("identity_key").help_text + " Leave it empty to keep the one that is stored.",
    )

    class Meta:
        model = Site
        fields = (
            *("name", "key", "is_active", "allowed_origins", "accent", "greeting", "starters", "languages"),
            *("time_zone", "hours", "holidays", "training", "attachments", "identity"),
            "identity_algorithm",
        )
        widgets = {"accent": forms.TextInput(attrs={"type": "color"})}

    def _post_clean(self) -> None:
        # Before the model checks itself.
        if key := self.cleaned_data.get("new_identity_key"):
            self.instance.identity_key = key
        super()._post_clean()  # type: ignore[misc]

    def add_error(self, field: Any, error: Any) -> None:
        """What the model says of its key stands beside the field that takes it."""
        said = getattr(error, "error_dict", None)
        if field is None and said and "identity_key" in said:
            said["new_identity_key"] = said.pop("identity_key")
        super().add_error(field, error)


@admin.register(Site)
class SiteAdmin(admin.ModelAdmin[Site]):
    form = SiteForm
    list_display = ("name", "key", "is_active", "identity", "training", "updated_at")
    list_filter = ("is_active", "identity", "training")
    search_fields = ("name", "key", "allowed_origins")
    prepopulated_fields = {"key": ("name",)}
    fieldsets = (
        (None, {"fields": ("name", "key", "is_active", "allowed_origins")}),
        ("What customers see", {"fields": ("accent", "greeting", "starters", "languages")}),
        ("People", {"fields": ("time_zone", "hours", "holidays")}),
        ("Privacy", {"fields": ("training", "attachments")}),
        ("Signed identity", {"fields": ("identity", "identity_algorithm", "new_identity_key")}),
    )
