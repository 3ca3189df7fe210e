"""In the admin: erasing visitors, which reaches further than deleting them would, and the receipts for it."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import unquote
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from chatbot.conversations.admin import VisitorAdmin
from chatbot.conversations.forgetting import find_visitor
from chatbot.conversations.models import Visitor
from chatbot.exceptions import NotFound
from chatbot.intents.wording import counted
from chatbot.releases.admin import ReadOnlyAdmin
from chatbot.training.erasure import preview_erasure, request_erasure
from chatbot.training.models import Erasure

MAY_ERASE = "training.erase_visitor"
# Each is named on the page that asks.
MOST_AT_ONCE = 50

admin.site.unregister(Visitor)


@admin.register(Visitor)
class ErasableVisitorAdmin(VisitorAdmin):
    fields: ClassVar[tuple[str, ...]] = (*VisitorAdmin.fields, "erasure")
    readonly_fields: ClassVar[tuple[str, ...]] = (*VisitorAdmin.readonly_fields, "erasure")
    actions = ("erase_selected",)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        # Deleting would leave the person's rows in the datasets, with nothing to find them by.
        return False

    def has_erase_permission(self, request: HttpRequest) -> bool:
        """Who may erase."""
        return request.user.has_perm(MAY_ERASE)

    def get_fields(self, request: HttpRequest, obj: Visitor | None = None) -> Any:
        return self.fields if self.has_erase_permission(request) else VisitorAdmin.fields

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.erase_view)
        return [path("<path:object_id>/erase/", view, name="conversations_visitor_erase"), *super().get_urls()]

    @admin.display(description="erase")
    def erasure(self, visitor: Visitor) -> SafeString:
        address = reverse("admin:conversations_visitor_erase", args=[visitor.pk])
        return format_html('<a href="{}">Erase this person…</a>', address)

    def erase_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Asks, on the way from a visitor's page."""
        if not self.has_erase_permission(request):
            raise PermissionDenied
        try:
            return self._asking(request, [find_visitor(visitor_id=unquote(object_id))])
        except NotFound:
            raise Http404("This visitor does not exist.") from None

    @admin.action(description="Erase the selected people…", permissions=["erase"])
    def erase_selected(self, request: HttpRequest, queryset: QuerySet[Visitor]) -> HttpResponse | None:
        """All that is theirs goes, for good."""
        visitors = list(queryset[: MOST_AT_ONCE + 1])
        if len(visitors) > MOST_AT_ONCE:
            self.message_user(request, f"Choose at most {MOST_AT_ONCE} people at a time.", messages.ERROR)
            return None
        if request.POST.get("confirmed") != "yes":
            return self._asking(request, visitors)
        for visitor in visitors:
            request_erasure(visitor=visitor, requested_by=cast(User, request.user))
        done = f"{counted(len(visitors), 'person', 'people')} will be erased within seconds; the receipt says when."
        self.message_user(request, done, messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:training_erasure_changelist"))

    def _asking(self, request: HttpRequest, visitors: list[Visitor]) -> HttpResponse:
        who = "this person" if len(visitors) == 1 else counted(len(visitors), "person", "people")
        request.current_app = self.admin_site.name
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": f"Erase {who}?",
            "button": f"Erase {who}",
            "visitors": visitors,
            "preview": preview_erasure([visitor.pk for visitor in visitors]),
            "checkbox": ACTION_CHECKBOX_NAME,
        }
        return TemplateResponse(request, "admin/training/erase.html", context)


@admin.register(Erasure)
class ErasureAdmin(ReadOnlyAdmin):
    """Receipts. Nobody can change one, and none says who the person was."""

    list_display = ("__str__", "requested_at", "by", "state", "deleted", "trained_on")
    list_select_related = ("requested_by",)
    date_hierarchy = "requested_at"
    search_fields = ("=visitor_digest",)
    search_help_text = "Search by the SHA-256 of a visitor's id."
    fields = (
        *("state", "problem", "requested_at", "by", "finished_at"),
        *("deleted", "from_datasets", "trained_on", "visitor_digest"),
    )
    readonly_fields = fields

    @admin.display(description="by")
    def by(self, erasure: Erasure) -> str:
        return str(erasure.requested_by or "the command line")

    @admin.display(description="state", ordering="finished_at")
    def state(self, erasure: Erasure) -> str:
        if not erasure.is_open:
            return "Done"
        return "Not finished yet" if erasure.problem else "Waiting for the sweeper"

    @admin.display(description="deleted")
    def deleted(self, erasure: Erasure) -> str:
        return ", ".join(f"{name}: {count}" for name, count in erasure.counts.items()) or "–"

    @admin.display(description="datasets without their rows")
    def from_datasets(self, erasure: Erasure) -> str:
        return ", ".join(erasure.datasets) or "–"

    @admin.display(description="releases that had learned from them")
    def trained_on(self, erasure: Erasure) -> str:
        return ", ".join(erasure.releases) or "–"
