"""The records behind a conversation. They can be looked at and searched; nothing here is written by hand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.contrib.admin.options import ModelAdmin
from django.contrib.contenttypes.models import ContentType
from django.db.models import Count, Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from chatbot.conversations.admin import cells
from chatbot.conversations.admin.bulk import AcceptTurns
from chatbot.conversations.models import Conversation, Message, Review, Survey, Turn, Visitor


class DeletedBySuperusersAdmin(ModelAdmin[Any]):
    """Nothing is added by hand, and deleting is for superusers."""

    class Media:
        css = {"all": ["conversations/admin.css"]}

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        title = capfirst(str(self.opts.verbose_name_plural))
        return super().changelist_view(request, {"title": title, **(extra_context or {})})

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> None:  # type: ignore[override]
        self._log(request, [obj], CHANGE, message)

    def log_deletions(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:  # type: ignore[override]
        self._log(request, queryset, DELETION)

    def _log(self, request: HttpRequest, records: Iterable[Model], flag: int, message: str = "") -> None:
        """By the record's id: Django would keep its title, and with it what a customer wrote, when both are gone."""
        content_type = ContentType.objects.get_for_model(self.model)
        LogEntry.objects.bulk_create(
            LogEntry(
                user=request.user,  # type: ignore[misc]  # nobody gets here anonymously
                content_type=content_type,
                object_id=str(record.pk),
                object_repr=f"{capfirst(str(self.opts.verbose_name))} {str(record.pk)[:8]}",
                action_flag=flag,
                change_message=message,
            )
            for record in records
        )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return bool(request.user.is_active and request.user.is_superuser)


class RecordAdmin(DeletedBySuperusersAdmin):
    """Read-only for everybody."""

    show_full_result_count = False

    @admin.display(description="created", ordering="created_at")
    def created(self, record: Any) -> SafeString:
        return cells.moment(record.created_at)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


def conversation_link(conversation: Conversation, *, anchor: str = "") -> SafeString:
    """A link to the transcript, at a message if `anchor` names one."""
    address = reverse("admin:conversations_conversation_change", args=[conversation.pk])
    return format_html('<a href="{}{}">{}</a>', address, anchor, cells.excerpt(str(conversation)))


@admin.register(Visitor)
class VisitorAdmin(RecordAdmin):
    list_display = ("name", "conversation_count", "created_at", "last_seen_at")
    search_fields = ("external_id", "id")
    search_help_text = "Search in external ids and visitor ids."
    date_hierarchy = "last_seen_at"
    fields: ClassVar[tuple[str, ...]] = (
        "id",
        "name",
        "site",
        "email",
        "created_at",
        "last_seen_at",
        "conversations_of_visitor",
    )
    readonly_fields: ClassVar[tuple[str, ...]] = ("name", "conversations_of_visitor")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Visitor]:
        return super().get_queryset(request).annotate(conversation_count=Count("conversations"))

    @admin.display(description="visitor", ordering="external_id")
    def name(self, visitor: Visitor) -> SafeString:
        return cells.excerpt(str(visitor))

    @admin.display(description="conversations", ordering="conversation_count")
    def conversation_count(self, visitor: Visitor) -> int:
        return visitor.conversation_count  # type: ignore[attr-defined]

    @admin.display(description="conversations")
    def conversations_of_visitor(self, visitor: Visitor) -> SafeString:
        address = reverse("admin:conversations_conversation_changelist")
        return format_html('<a href="{}?visitor__id__exact={}&amp;contents=all">Show them</a>', address, visitor.pk)


@admin.register(Turn)
class TurnAdmin(AcceptTurns, RecordAdmin):
    list_display = (
        "question",
        "status_badge",
        "action",
        "intent",
        "confidence_badge",
        "scope",
        "created",
    )
    list_filter = ("status", "action", "out_of_scope", "is_miss", "is_retry", "error_code", "created_at")
    list_select_related = ("message", "intent")
    search_fields = ("=id", "message__text", "intent__name", "reason")
    search_help_text = "Search in questions, intents and reasons."
    actions = ("accept_selected",)
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    # The transcript shows the sources, and everything else, as people read it.
    exclude = ("reason", "error_detail", "sources")
    readonly_fields = ("transcript", "whole_reason", "whole_error_detail")

    @admin.display(description="reason")
    def whole_reason(self, turn: Turn) -> SafeString:
        return cells.whole(turn.reason)

    @admin.display(description="error detail")
    def whole_error_detail(self, turn: Turn) -> SafeString:
        return cells.whole(turn.error_detail)

    @admin.display(description="question", ordering="message__text")
    def question(self, turn: Turn) -> SafeString:
        return cells.excerpt(turn.message.text)

    @admin.display(description="status", ordering="status")
    def status_badge(self, turn: Turn) -> SafeString:
        return cells.badge(turn.get_status_display(), turn.status)

    @admin.display(description="confidence", ordering="confidence")
    def confidence_badge(self, turn: Turn) -> SafeString | str:
        return cells.confidence(turn.confidence)

    @admin.display(description="scope", ordering="out_of_scope")
    def scope(self, turn: Turn) -> SafeString | str:
        return cells.badge("Out", "medium") if turn.out_of_scope else cells.EMPTY

    @admin.display(description="transcript")
    def transcript(self, turn: Turn) -> SafeString:
        return conversation_link(turn.conversation, anchor=f"#message-{turn.message.seq}")


@admin.register(Message)
class MessageAdmin(RecordAdmin):
    list_display = ("text_excerpt", "role", "rating", "language_code", "created")
    list_filter = ("role", "rating", "language", "stopped", "created_at")
    list_select_related = ("conversation",)
    search_fields = ("text", "=id")
    search_help_text = "Search in message text."
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    exclude = ("text", "rating_reason")
    readonly_fields = ("transcript", "whole_text", "whole_rating_reason")

    @admin.display(description="text")
    def whole_text(self, message: Message) -> SafeString:
        return cells.whole(message.text)

    @admin.display(description="rating reason")
    def whole_rating_reason(self, message: Message) -> SafeString:
        return cells.whole(message.rating_reason)

    @admin.display(description="text", ordering="text")
    def text_excerpt(self, message: Message) -> SafeString:
        return cells.excerpt(message.text)

    @admin.display(description="language", ordering="language")
    def language_code(self, message: Message) -> str:
        return message.language or cells.EMPTY

    @admin.display(description="transcript")
    def transcript(self, message: Message) -> SafeString:
        return conversation_link(message.conversation, anchor=f"#message-{message.seq}")


@admin.register(Review)
class ReviewAdmin(RecordAdmin):
    list_display = ("question", "verdict_badge", "intent_or_scope", "reviewed_by", "reviewed_at")
    list_filter = ("verdict", "out_of_scope", "reviewed_at", "reviewed_by")
    list_select_related = ("turn__message", "intent", "reviewed_by")
    search_fields = ("turn__message__text", "edited_reply", "note")
    search_help_text = "Search in questions, edited replies and notes."
    date_hierarchy = "reviewed_at"
    readonly_fields = ("transcript",)

    @admin.display(description="question", ordering="turn__message__text")
    def question(self, review: Review) -> SafeString:
        return cells.excerpt(review.turn.message.text)

    @admin.display(description="verdict", ordering="verdict")
    def verdict_badge(self, review: Review) -> SafeString:
        return cells.badge(review.summary, review.verdict or "plain")

    @admin.display(description="intent", ordering="intent__name")
    def intent_or_scope(self, review: Review) -> str:
        return "out of scope" if review.out_of_scope else str(review.intent or cells.EMPTY)

    @admin.display(description="transcript")
    def transcript(self, review: Review) -> SafeString:
        turn = review.turn
        return conversation_link(turn.conversation, anchor=f"#message-{turn.message.seq}")


@admin.register(Survey)
class SurveyAdmin(RecordAdmin):
    list_display = ("__str__", "comment_excerpt", "conversation_cell", "created_at")
    list_filter = ("score", "created_at")
    list_select_related = ("conversation",)
    search_fields = ("comment",)
    search_help_text = "Search in comments."
    date_hierarchy = "created_at"
    exclude = ("comment",)
    readonly_fields = ("conversation_cell", "whole_comment")

    @admin.display(description="comment")
    def comment_excerpt(self, survey: Survey) -> SafeString:
        return cells.excerpt(survey.comment)

    @admin.display(description="comment")
    def whole_comment(self, survey: Survey) -> SafeString:
        return cells.whole(survey.comment)

    @admin.display(description="conversation")
    def conversation_cell(self, survey: Survey) -> SafeString:
        return conversation_link(survey.conversation)
