"""The review queue as a list: what waits and why, narrowed down, and what can be done with many items at once."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin import SimpleListFilter
from django.contrib.admin.options import ModelAdmin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Exists, Model, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from chatbot.conversations.admin import cells
from chatbot.conversations.admin.bulk import AcceptTurns, TrainingUse
from chatbot.conversations.admin.records import RecordAdmin
from chatbot.conversations.admin.review_choices import intent_names
from chatbot.conversations.admin.review_page import LAST_REVIEW, PAGE, ReviewPages, may_review, narrowed
from chatbot.conversations.models import ReviewItem, Turn
from chatbot.conversations.review_queue import Narrowing, is_claimed, progress_of, put_off_items
from chatbot.conversations.review_reasons import REASONS, revive
from chatbot.intents.models import Intent
from chatbot.intents.wording import counted


class ReasonFilter(SimpleListFilter):
    """Items that have a reason of this kind, beside whatever other reasons."""

    title = "reason"
    parameter_name = "reason"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, str]]:
        return [(reason.kind, reason.label) for reason in REASONS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ReviewItem]) -> QuerySet[ReviewItem]:
        return Narrowing(reason=self.value() or "").of(queryset)


class IntentFilter(SimpleListFilter):
    """Items by what the bot took them for."""

    title = "intent"
    parameter_name = "intent"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, str]]:
        waiting = Turn.objects.filter(intent=OuterRef("pk"), review_item__isnull=False)
        return list(Intent.objects.filter(Exists(waiting)).order_by("name").values_list("slug", "name"))

    def queryset(self, request: HttpRequest, queryset: QuerySet[ReviewItem]) -> QuerySet[ReviewItem]:
        return Narrowing(intent=self.value() or "").of(queryset)


class PutOffFilter(SimpleListFilter):
    """Items that somebody has sent to the end."""

    title = "put off"
    parameter_name = "later"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, str]]:
        return [("no", "Not yet"), ("yes", "Put off")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ReviewItem]) -> QuerySet[ReviewItem]:
        match self.value():
            case "no":
                return queryset.filter(skips=0)
            case "yes":
                return queryset.filter(skips__gt=0)
        return queryset


class QueueList(ChangeList):
    """Rows lead to the page where they are reviewed, and know the names of their intents."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = list(self.result_list)
        names = intent_names(self.result_list)
        for item in self.result_list:
            item.words = [reason.words(names) for reason in revive(item.reasons)]
        self.narrowed_by = narrowed("", request)

    def url_for_result(self, result: Any) -> str:
        return reverse(PAGE, args=[result.turn_id]) + self.narrowed_by


@admin.register(ReviewItem)
class ReviewQueueAdmin(ReviewPages, AcceptTurns, TrainingUse, RecordAdmin):
    list_display = ("question", "why", "intent", "asked_at")
    list_filter = (ReasonFilter, IntentFilter, PutOffFilter)
    list_select_related = ("turn__message", "turn__intent", "claimed_by")
    search_fields = ("turn__message__text",)
    list_per_page = 50
    ordering = ("skips", "-priority", "-id")
    actions = ("accept_selected", "put_off_selected", "exclude_selected")
    change_list_template = "admin/conversations/review/queue.html"

    class Media:
        css = {"all": ["conversations/admin.css", "conversations/review.css"]}

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return QueueList

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return super().has_view_permission(request, obj) or may_review(request)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context = {
            "progress": progress_of(request.user),  # type: ignore[arg-type]
            "may_review": may_review(request),
            "may_undo": LAST_REVIEW in request.session,
            "query": narrowed("", request),
            "title": "Review",
        }
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """An item has no page of its own."""
        item = self.get_object(request, object_id)
        address = reverse(PAGE, args=[item.turn_id]) if item else reverse("admin:conversations_reviewitem_changelist")
        return HttpResponseRedirect(address)

    # --- The list -------------------------------------------------------------------------------

    @admin.display(description="question")
    def question(self, item: ReviewItem) -> SafeString:
        return cells.excerpt(item.turn.message.text)

    @admin.display(description="why")
    def why(self, item: ReviewItem) -> SafeString:
        words: list[str] = item.words  # type: ignore[attr-defined]  # QueueList gave it
        return format_html('<ul class="fd-reasons">{}</ul>', format_html_join("", "<li>{}</li>", ((w,) for w in words)))

    @admin.display(description="intent")
    def intent(self, item: ReviewItem) -> str:
        return str(item.turn.intent or cells.EMPTY)

    @admin.display(description="asked")
    def asked_at(self, item: ReviewItem) -> SafeString:
        return format_html("{} {}", cells.moment(item.turn.created_at), self._state(item))

    def _state(self, item: ReviewItem) -> SafeString | str:
        if is_claimed(item):
            return cells.badge(f"{item.claimed_by} is looking at it", "running")
        if item.skips:
            return cells.badge("Put off" if item.skips == 1 else f"Put off {item.skips}×", "plain")
        return ""

    # --- Many at once ---------------------------------------------------------------------------

    def turn_ids(self, rows: QuerySet[ReviewItem]) -> list[UUID]:
        return list(rows.values_list("turn", flat=True))

    def conversation_ids(self, rows: QuerySet[ReviewItem]) -> list[UUID]:
        return list(rows.values_list("turn__conversation", flat=True))

    @admin.action(description="Put off the selected", permissions=["review"])
    def put_off_selected(self, request: HttpRequest, queryset: QuerySet[ReviewItem]) -> None:
        """They come after everything else. Nothing is lost by it, so it is not asked for."""
        number = put_off_items(ReviewItem.objects.filter(pk__in=list(queryset.values_list("pk", flat=True))))
        self.message_user(request, f"Put off {counted(number, 'turn')}.", messages.SUCCESS)
