"""Conversations: a list to find them in, the transcript as a chat, and what staff may do about one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import SafeString
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_http_methods, require_POST

from chatbot.conversations import exports, reviews
from chatbot.conversations.admin import cells, filters
from chatbot.conversations.admin.bulk import TrainingUse
from chatbot.conversations.admin.downloads import Download
from chatbot.conversations.admin.forms import ReplyForm
from chatbot.conversations.admin.records import DeletedBySuperusersAdmin
from chatbot.conversations.admin.review_page import may_review
from chatbot.conversations.desk import services
from chatbot.conversations.desk.selectors import called
from chatbot.conversations.explanations import request_explanation
from chatbot.conversations.forgetting import delete_conversations
from chatbot.conversations.models import Conversation
from chatbot.conversations.selectors import mentioning, with_overview
from chatbot.conversations.surveys.selectors import survey_of
from chatbot.conversations.transcript import read_transcript, version_of
from chatbot.exceptions import NotFound, Refused

Status = Conversation.Status
# A list has room for one word; its filter spells them out.
SHORT_STATUS: dict[str, str] = {
    Status.BOT: "Bot",
    Status.WAITING: "Waiting",
    Status.HUMAN: "Person",
    Status.CLOSED: "Closed",
}


@admin.register(Conversation)
class ConversationAdmin(TrainingUse, DeletedBySuperusersAdmin):
    list_display = (
        "title_cell",
        "status_badge",
        "language_code",
        "message_count",
        "latest_intent",
        "lowest_confidence",
        "rating",
        "last_activity",
    )
    list_filter = (
        "status",
        filters.ConfidenceFilter,
        filters.RatingFilter,
        filters.LatestIntentFilter,
        filters.IntentFilter,
        filters.ReleaseFilter,
        filters.LanguageFilter,
        "updated_at",
        "excluded_from_training",
        "is_demo",
        "is_imported",
        filters.ContentsFilter,
    )
    date_hierarchy = "updated_at"
    search_fields = ("messages__text", "visitor__external_id", "id")
    search_help_text = "Search in messages, visitors' external ids and conversation ids."
    actions = ("exclude_selected", "include_selected", "export_as_csv", "export_as_jsonl")
    list_per_page = 50
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Conversation]:
        return with_overview(super().get_queryset(request))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        return mentioning(queryset, search_term), False

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        # A visitor's page links to their conversations.
        return lookup == "visitor__id__exact" or super().lookup_allowed(lookup, value, request)

    # --- The list -------------------------------------------------------------------------------

    @admin.display(description="conversation", ordering="title")
    def title_cell(self, conversation: Conversation) -> SafeString:
        return cells.excerpt(str(conversation))

    @admin.display(description="status", ordering="status")
    def status_badge(self, conversation: Conversation) -> SafeString:
        return cells.badge(SHORT_STATUS[conversation.status], conversation.status)

    @admin.display(description="lang.", ordering="language")
    def language_code(self, conversation: Conversation) -> str:
        return conversation.language or cells.EMPTY

    @admin.display(description="messages", ordering="last_seq")
    def message_count(self, conversation: Conversation) -> int:
        return conversation.last_seq

    @admin.display(description="latest intent", ordering="latest_intent")
    def latest_intent(self, conversation: Conversation) -> str:
        return conversation.latest_intent or cells.EMPTY  # type: ignore[attr-defined]

    @admin.display(description="confidence", ordering="lowest_confidence")
    def lowest_confidence(self, conversation: Conversation) -> SafeString | str:
        return cells.confidence(conversation.lowest_confidence)  # type: ignore[attr-defined]

    @admin.display(description="rating", ordering="thumbs_down")
    def rating(self, conversation: Conversation) -> SafeString | str:
        up: int = conversation.thumbs_up  # type: ignore[attr-defined]
        down: int = conversation.thumbs_down  # type: ignore[attr-defined]
        shown = [cells.thumbs(direction, count) for direction, count in (("up", up), ("down", down)) if count]
        return SafeString(" ".join(shown)) if shown else cells.EMPTY

    @admin.display(description="active", ordering="updated_at")
    def last_activity(self, conversation: Conversation) -> SafeString:
        return cells.moment(conversation.updated_at)

    # --- Deleting, for superusers ---------------------------------------------------------------

    def delete_model(self, request: HttpRequest, obj: Conversation) -> None:
        delete_conversations([obj.pk])

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Conversation]) -> None:
        for ids in reviews.batched(list(queryset.values_list("pk", flat=True))):
            delete_conversations(ids)

    # --- Exports --------------------------------------------------------------------------------

    def has_export_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("conversations.export_conversation"))

    @admin.action(description="Export as CSV, one row a message", permissions=["export"])
    def export_as_csv(self, request: HttpRequest, queryset: QuerySet[Conversation]) -> Download:
        return self._export(request, queryset, exports.csv_chunks, "csv", "text/csv; charset=utf-8")

    @admin.action(description="Export as JSONL, one conversation a line", permissions=["export"])
    def export_as_jsonl(self, request: HttpRequest, queryset: QuerySet[Conversation]) -> Download:
        return self._export(request, queryset, exports.jsonl_chunks, "jsonl", "application/jsonl; charset=utf-8")

    def _export(
        self,
        request: HttpRequest,
        queryset: QuerySet[Conversation],
        pieces: Callable[[Sequence[UUID]], Iterator[str]],
        extension: str,
        content_type: str,
    ) -> Download:
        chosen = list(queryset.values_list("pk", flat=True))
        exports.record_export(actor=request.user, conversation_ids=chosen, file_format=extension.upper())  # type: ignore[arg-type]
        filename = f"conversations-{timezone.localdate():%Y-%m-%d}.{extension}"
        return Download(pieces(chosen), filename=filename, content_type=content_type)

    # --- The transcript -------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        def own(name: str, view: Callable[..., HttpResponse]) -> URLPattern:
            return path(
                f"<path:object_id>/{name}/", self.admin_site.admin_view(view), name=f"conversations_conversation_{name}"
            )

        return [
            own("reply", self.reply_view),
            own("return", self.return_view),
            own("close", self.close_view),
            own("version", self.version_view),
            own("explain", self.explain_view),
            own("training", self.training_view),
            *super().get_urls(),
        ]

    @method_decorator(require_http_methods(["GET", "HEAD"]))
    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The transcript. Nothing is changed here: what staff do about it has addresses of its own."""
        return self._transcript_page(request, self._conversation(request, object_id), extra_context=extra_context)

    def _conversation(self, request: HttpRequest, object_id: str, *, to_change: bool = False) -> Conversation:
        try:
            found = Conversation.objects.select_related("visitor", "assignee").filter(pk=unquote(object_id)).first()
        except ValidationError:
            found = None
        allowed = self.has_change_permission if to_change else self.has_view_or_change_permission
        if not allowed(request, found):
            raise PermissionDenied
        if found is None:
            raise Http404("This conversation does not exist.")
        return found

    def _transcript_page(
        self,
        request: HttpRequest,
        conversation: Conversation,
        *,
        form: ReplyForm | None = None,
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        before = request.GET.get("before", "")
        # Nine digits are more messages than a conversation has, and fit the database's integer.
        before_seq = int(before) if before.isascii() and before.isdecimal() and len(before) <= 9 else None
        may_act = self.has_change_permission(request, conversation)
        context = {
            **self._page_context(request, conversation),
            # Read before the messages: what comes in between is then seen as a change.
            "version": version_of(conversation.pk),
            "transcript": read_transcript(conversation, before_seq),
            "holder": called(conversation.assignee),
            "survey": survey_of(conversation),
            "notes": conversation.notes.select_related("author"),
            "transitions": conversation.transitions.select_related("actor", "assignee"),
            "before": before_seq or "",
            "form": form or ReplyForm(),
            "may_reply": may_act and conversation.status != Status.CLOSED,
            "may_close": may_act and conversation.status != Status.CLOSED,
            "may_review": may_review(request),
            "may_return": may_act and conversation.status in (Status.WAITING, Status.HUMAN),
            "has_delete_permission": self.has_delete_permission(request, conversation),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/conversations/conversation/transcript.html", context)

    @method_decorator(require_http_methods(["GET"]))
    def version_view(self, request: HttpRequest, object_id: str) -> JsonResponse:
        """Whether an open transcript is still what it shows."""
        return JsonResponse({"version": version_of(self._conversation(request, object_id).pk)})

    @method_decorator([require_POST, csrf_protect])
    def explain_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Have a worker explain one prediction. Whoever may read the transcript may ask."""
        conversation = self._conversation(request, object_id)
        try:
            turn_id = UUID(request.POST.get("turn", ""))
            request_explanation(turn_id=turn_id, conversation_id=conversation.pk)
        except (ValueError, NotFound):
            raise Http404("This turn does not exist.") from None
        # The explanation is read where it was asked for: on the transcript or while reviewing.
        back = request.POST.get("back", "")
        if not (back.startswith(reverse("admin:index")) and url_has_allowed_host_and_scheme(back, allowed_hosts=None)):
            before = request.POST.get("before", "")
            query = f"?before={before}" if before.isascii() and before.isdecimal() else ""
            back = reverse("admin:conversations_conversation_change", args=[conversation.pk]) + query
        return HttpResponseRedirect(f"{back}#why-{turn_id}")

    def _page_context(self, request: HttpRequest, conversation: Conversation) -> dict[str, Any]:
        request.current_app = self.admin_site.name
        return {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "original": conversation,
            "conversation": conversation,
            "title": str(conversation),
        }

    # --- What staff do about it -----------------------------------------------------------------

    @method_decorator([require_POST, csrf_protect])
    def reply_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """A person answers and has the conversation from then on."""
        conversation = self._conversation(request, object_id, to_change=True)
        form = ReplyForm(request.POST)
        if not form.is_valid():
            return self._transcript_page(request, conversation, form=form)

        try:
            services.post_agent_message(
                conversation_id=conversation.pk,
                author=request.user,  # type: ignore[arg-type]
                text=form.cleaned_data["text"],
            )
        except Refused as refusal:
            form.add_error("text", str(refusal))
            return self._transcript_page(request, conversation, form=form)
        return self._done(request, conversation, "Replied as a person.", anchor="#reply")

    @method_decorator([require_POST, csrf_protect])
    def return_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The assistant answers again."""
        conversation = self._conversation(request, object_id, to_change=True)
        return self._act(
            request,
            conversation,
            lambda: services.return_to_bot(conversation_id=conversation.pk, agent=request.user),  # type: ignore[arg-type]
            "Returned to the assistant.",
        )

    @method_decorator([require_POST, csrf_protect])
    def training_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Keep the conversation out of training, or let it in again."""
        conversation = self._conversation(request, object_id)
        if not may_review(request):
            raise PermissionDenied
        excluded = request.POST.get("excluded") == "yes"
        change = reviews.exclude_conversation if excluded else reviews.include_conversation
        done = "Excluded from training." if excluded else "Included in training again."
        return self._act(
            request,
            conversation,
            lambda: change(conversation_id=conversation.pk, actor=request.user),  # type: ignore[arg-type]
            done,
        )

    @method_decorator([require_http_methods(["GET", "HEAD", "POST"]), csrf_protect])
    def close_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Asks first: a closed conversation cannot be opened again."""
        conversation = self._conversation(request, object_id, to_change=True)
        if request.method != "POST":
            context = self._page_context(request, conversation)
            return TemplateResponse(request, "admin/conversations/conversation/close.html", context)
        return self._act(
            request,
            conversation,
            lambda: services.close_conversation(conversation_id=conversation.pk, agent=request.user),  # type: ignore[arg-type]
            "Closed the conversation.",
        )

    def _act(
        self,
        request: HttpRequest,
        conversation: Conversation,
        act: Callable[[], object],
        done: str,
    ) -> HttpResponse:
        try:
            act()
        except Refused as refusal:
            messages.error(request, str(refusal))
            return self._back(conversation)
        return self._done(request, conversation, done)

    def _done(self, request: HttpRequest, conversation: Conversation, done: str, *, anchor: str = "") -> HttpResponse:
        self.log_change(request, conversation, done)
        messages.success(request, done)
        return self._back(conversation, anchor)

    def _back(self, conversation: Conversation, anchor: str = "") -> HttpResponse:
        address = reverse("admin:conversations_conversation_change", args=[conversation.pk])
        return HttpResponseRedirect(address + anchor)
