"""The registry in the admin. Nothing here can be edited: releases are immutable, and promotions are history."""

from __future__ import annotations

import json
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth.models import User
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from chatbot.exceptions import FrontdeskError
from chatbot.releases.models import Kind, Promotion, Release
from chatbot.releases.selectors import current_release
from chatbot.releases.services import promote_release


class ReadOnlyAdmin(admin.ModelAdmin):
    """Shows and changes nothing."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class PromotionForm(forms.Form):
    """Why a release is made current."""

    reason = forms.CharField(
        max_length=2000, strip=True, widget=forms.Textarea(attrs={"rows": 3, "cols": 60, "class": "vLargeTextField"})
    )


@admin.register(Release)
class ReleaseAdmin(ReadOnlyAdmin):
    list_display = ("name", "kind", "is_current", "accuracy", "base", "created_at", "created_by")
    list_filter = ("kind",)
    search_fields = ("name", "base", "dataset_digest")
    list_select_related = ("created_by",)
    fields = (
        *("name", "kind", "is_current", "base", "path", "created_at", "created_by"),
        *("dataset_digest", "manifest_digest", "measured", "whole_manifest"),
    )
    readonly_fields = fields
    actions = ["make_current"]

    @admin.display(boolean=True, description="current")
    def is_current(self, release: Release) -> bool:
        current = current_release(release.kind)
        return current is not None and current.pk == release.pk

    @admin.display(description="accuracy")
    def accuracy(self, release: Release) -> str:
        value = release.metrics.get("accuracy")
        return "–" if value is None else f"{value:.3f}"

    @admin.display(description="metrics")
    def measured(self, release: Release) -> SafeString:
        return _preformatted(release.metrics)

    @admin.display(description="manifest")
    def whole_manifest(self, release: Release) -> SafeString:
        return _preformatted(release.manifest)

    def has_promote_permission(self, request: HttpRequest) -> bool:
        """Who may make a release current is who may add a promotion."""
        return request.user.has_perm("releases.add_promotion")

    @admin.action(description="Make current …", permissions=["promote"])
    def make_current(self, request: HttpRequest, queryset: QuerySet[Release]) -> HttpResponse | None:
        """Ask for the reason, then promote."""
        releases = list(queryset)
        if len(releases) != 1:
            self.message_user(request, "Choose exactly one release to make current.", messages.ERROR)
            return None
        release = releases[0]
        form = PromotionForm(request.POST if "confirmed" in request.POST else None)
        if form.is_valid():
            try:
                promote_release(
                    release=release, reason=form.cleaned_data["reason"], promoted_by=cast(User, request.user)
                )
            except FrontdeskError as error:
                self.message_user(request, str(error), messages.ERROR)
            else:
                self.message_user(request, f"Promoted {release}; workers follow within seconds.", messages.SUCCESS)
            return None
        context = {
            **self.admin_site.each_context(request),
            "title": f"Make {release} current",
            "opts": self.model._meta,
            "release": release,
            "current": current_release(release.kind),
            "kind": Kind(release.kind).label.lower(),
            "form": form,
            "action_checkbox_name": ACTION_CHECKBOX_NAME,
        }
        return TemplateResponse(request, "admin/releases/make_current.html", context)


@admin.register(Promotion)
class PromotionAdmin(ReadOnlyAdmin):
    list_display = ("promoted_at", "kind", "release", "previous", "promoted_by", "reason")
    list_filter = ("kind", "promoted_at")
    search_fields = ("release__name", "reason")
    list_select_related = ("release", "previous", "promoted_by")


def _preformatted(content: Any) -> SafeString:
    return format_html("<pre>{}</pre>", json.dumps(content, ensure_ascii=False, indent=2))
