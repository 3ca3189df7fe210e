"""The registry in the admin. Nothing here can be edited: releases are immutable, and promotions are history."""

from __future__ import annotations

import json
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_POST

from chatbot.exceptions import FrontdeskError
from chatbot.releases.models import Promotion, Release
from chatbot.releases.selectors import current_release
from chatbot.releases.thresholds import ThresholdCost, store_with_threshold, threshold_costs


class ReadOnlyAdmin(admin.ModelAdmin):
    """Shows and changes nothing."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


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
    change_form_template = "admin/releases/release.html"

    @admin.display(boolean=True, description="current")
    def is_current(self, release: Release) -> bool:
        current = current_release(release.kind)
        return current is not None and current.pk == release.pk

    @admin.display(description="accuracy")
    def accuracy(self, release: Release) -> str:
        value = release.metrics.get("accuracy")
        return "–" if value is None else f"{value:.3f}"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.threshold_view)
        return [path("<int:pk>/threshold/", view, name="releases_release_threshold"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        release = self.get_object(request, object_id)
        context = {
            "thresholds": [_in_words(cost) for cost in threshold_costs(release)] if release else [],
            "may_choose": self.has_promote_permission(request),
        }
        return super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})

    @method_decorator([require_POST, csrf_protect])
    def threshold_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Make a release that differs in its threshold alone. Serving it is a step of its own."""
        if not self.has_promote_permission(request):
            raise PermissionDenied
        release = get_object_or_404(Release, pk=pk)
        try:
            threshold = float(request.POST.get("threshold", ""))
            made = store_with_threshold(release=release, threshold=threshold, created_by=cast(User, request.user))
        except ValueError:
            self.message_user(request, "Choose one of the thresholds.", messages.ERROR)
        except FrontdeskError as error:
            self.message_user(request, str(error), messages.ERROR)
        else:
            done = f"Made {made} out of {release}. It waits: choose it in the list of releases to make it current."
            self.message_user(request, done, messages.SUCCESS)
            release = made
        return HttpResponseRedirect(reverse("admin:releases_release_change", args=[release.pk]))

    @admin.display(description="metrics")
    def measured(self, release: Release) -> SafeString:
        # The thresholds have a table of their own.
        return _preformatted({name: value for name, value in release.metrics.items() if name != "thresholds"})

    @admin.display(description="manifest")
    def whole_manifest(self, release: Release) -> SafeString:
        return format_html("<details><summary>Show</summary>{}</details>", _preformatted(release.manifest))

    def has_promote_permission(self, request: HttpRequest) -> bool:
        """Who may make a release current is who may add a promotion."""
        return request.user.has_perm("releases.add_promotion")

    @admin.action(description="Make current …", permissions=["promote"])
    def make_current(self, request: HttpRequest, queryset: QuerySet[Release]) -> HttpResponse | None:
        """Go where the gate is, what would change is shown, and the reason is asked for."""
        releases = list(queryset)
        if len(releases) != 1:
            self.message_user(request, "Choose exactly one release to make current.", messages.ERROR)
            return None
        return HttpResponseRedirect(reverse("dashboard:promote", args=[releases[0].pk]))


@admin.register(Promotion)
class PromotionAdmin(ReadOnlyAdmin):
    list_display = ("promoted_at", "kind", "release", "previous", "promoted_by", "reason", "override")
    list_filter = ("kind", "promoted_at")
    search_fields = ("release__name", "reason", "override")
    list_select_related = ("release", "previous", "promoted_by")


def _in_words(cost: ThresholdCost) -> dict[str, Any]:
    shares = {name: getattr(cost, name) for name in ("rejected", "wrong_avoided", "answered_accuracy", "caught")}
    return {
        "value": repr(cost.threshold),
        "threshold": f"{cost.threshold:.3f}",
        "in_force": cost.in_force,
        **{name: "–" if share is None else f"{share:.1%}" for name, share in shares.items()},
    }


def _preformatted(content: Any) -> SafeString:
    return format_html("<pre>{}</pre>", json.dumps(content, ensure_ascii=False, indent=2))
