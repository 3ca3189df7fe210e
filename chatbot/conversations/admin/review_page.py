"""The page on which a turn is reviewed, and what leads from one to the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.contrib.admin.options import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from chatbot.conversations import reviews
from chatbot.conversations.admin.forms import ReviewForm
from chatbot.conversations.admin.review_choices import Choices, choices_of
from chatbot.conversations.models import ReviewItem, Turn
from chatbot.conversations.review_queue import (
    Narrowing,
    claim_item,
    is_claimed,
    next_item,
    progress_of,
    put_off_items,
)
from chatbot.conversations.transcript import TURN_RELATIONS, read_around, version_of
from chatbot.exceptions import NotFound, Refused, StaleReview

LIST = "admin:conversations_reviewitem_changelist"
PAGE = "admin:conversations_reviewitem_review"
# In the reviewer's session: the turn and the version of the review that they stored last, nothing that anybody wrote.
LAST_REVIEW = "last_review"
NARROWED_BY = ("reason", "intent")


def may_review(request: HttpRequest) -> bool:
    """Who may judge turns may also keep their conversations out of training."""
    return request.user.has_perms(["conversations.add_review", "conversations.change_review"])


def narrowing_of(request: HttpRequest) -> Narrowing:
    return Narrowing(**{name: request.GET.get(name, "") for name in NARROWED_BY})


def narrowed(address: str, request: HttpRequest) -> str:
    """The address, for the same part of the queue."""
    query = urlencode({name: request.GET[name] for name in NARROWED_BY if request.GET.get(name)})
    return f"{address}?{query}" if query else address


class ReviewPages(ModelAdmin[Any]):
    """The review page with what can be done on it."""

    def get_urls(self) -> list[URLPattern]:
        def own(route: str, view: Callable[..., HttpResponse], name: str) -> URLPattern:
            return path(route, self.admin_site.admin_view(view), name=f"conversations_reviewitem_{name}")

        return [
            own("next/", self.next_view, "next"),
            own("undo/", self.undo_view, "undo"),
            own("turn/<uuid:turn_id>/", self.review_view, "review"),
            own("turn/<uuid:turn_id>/later/", self.later_view, "later"),
            own("turn/<uuid:turn_id>/exclude/", self.exclude_view, "exclude"),
            *super().get_urls(),
        ]

    # --- Going through the queue ----------------------------------------------------------------

    @method_decorator([require_safe, never_cache])
    def next_view(self, request: HttpRequest) -> HttpResponse:
        """To what teaches most."""
        self._check(request)
        return self._go_on(request)

    def _go_on(self, request: HttpRequest, *, after: UUID | None = None) -> HttpResponse:
        among = narrowing_of(request)
        item = next_item(reviewer=request.user, among=among, but=after)  # type: ignore[arg-type]
        if item is not None:
            return HttpResponseRedirect(narrowed(reverse(PAGE, args=[item.turn_id]), request))
        left = among.of(ReviewItem.objects.all())
        if after is not None:
            left = left.exclude(turn=after)
        if left.exists():
            messages.info(
                request, "Somebody else is looking at what is left. Choose from the list, or come back later."
            )
        elif among != Narrowing():
            messages.info(request, "Nothing more waits with this filter.")
        return HttpResponseRedirect(narrowed(reverse(LIST), request))

    def _check(self, request: HttpRequest) -> None:
        if not may_review(request):
            raise PermissionDenied

    # --- One turn -------------------------------------------------------------------------------

    @method_decorator([require_http_methods(["GET", "HEAD", "POST"]), csrf_protect, never_cache])
    def review_view(self, request: HttpRequest, turn_id: UUID) -> HttpResponse:
        """The turn in its conversation, and the form that judges it."""
        self._check(request)
        choices = choices_of(_turn(turn_id))
        may_create = request.user.has_perm("intents.add_intent")
        form = ReviewForm(
            request.POST if request.method == "POST" else None,
            suggested=choices.slugs,
            reply=choices.reply.text if choices.reply else None,
            may_create=may_create,
            initial=choices.initial,
        )
        if request.method == "POST" and form.is_valid():
            try:
                return self._save(request, turn_id, form)
            except StaleReview:
                return self._collision(request, turn_id, may_create=may_create)
            except Refused as refusal:
                form.add_error(None, str(refusal))
        other = choices.item if choices.item and is_claimed(choices.item) else None
        context = {"other": other if other and other.claimed_by_id != request.user.pk else None}
        if other is None and request.method != "HEAD":
            claim_item(turn_id=turn_id, reviewer=request.user)  # type: ignore[arg-type]
        return self._page(request, choices, form, context)

    def _save(self, request: HttpRequest, turn_id: UUID, form: ReviewForm) -> HttpResponse:
        # A new intent must not stay behind where its review could not be stored.
        with transaction.atomic():
            review = reviews.review_turn(
                turn_id=turn_id,
                reviewer=request.user,  # type: ignore[arg-type]
                judgement=form.judgement(),
                seen_version=form.cleaned_data["seen_version"],
            )
        request.session[LAST_REVIEW] = {"turn": str(turn_id), "version": review.version}
        messages.success(request, f"Saved: {review.summary.lower()}.")
        return self._go_on(request, after=turn_id)

    def _collision(self, request: HttpRequest, turn_id: UUID, *, may_create: bool) -> HttpResponse:
        """Somebody was quicker: both decisions side by side, and the choice between them."""
        choices = choices_of(_turn(turn_id))
        data = request.POST.copy()
        data["seen_version"] = str(choices.review.version if choices.review else 0)
        reply = choices.reply.text if choices.reply else None
        form = ReviewForm(data, suggested=choices.slugs, reply=reply, may_create=may_create)
        form.is_valid()
        return self._page(request, choices, form, {"collision": choices.review, "collided": True}, status=409)

    def _page(
        self, request: HttpRequest, choices: Choices, form: ReviewForm, more: dict[str, Any], *, status: int = 200
    ) -> HttpResponse:
        turn = choices.turn
        last = request.session.get(LAST_REVIEW)
        request.current_app = self.admin_site.name
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": "Review",
            "choices": choices,
            "turn": turn,
            "conversation": turn.conversation,
            "version": version_of(turn.conversation_id),
            "transcript": read_around(turn),
            "form": form,
            "progress": progress_of(request.user),  # type: ignore[arg-type]
            "may_undo": bool(last and last["turn"] != str(turn.pk)),
            "query": narrowed("", request),
            "back": request.get_full_path(),
            "may_review": True,
            **more,
        }
        return TemplateResponse(request, "admin/conversations/review/page.html", context, status=status)

    @method_decorator([require_POST, csrf_protect])
    def later_view(self, request: HttpRequest, turn_id: UUID) -> HttpResponse:
        """Put it off: it comes after everything else, for everybody."""
        self._check(request)
        if put_off_items(ReviewItem.objects.filter(turn=turn_id)):
            messages.info(request, "Put off. It comes again after everything else.")
        return self._go_on(request, after=turn_id)

    @method_decorator([require_POST, csrf_protect])
    def exclude_view(self, request: HttpRequest, turn_id: UUID) -> HttpResponse:
        """Keep the whole conversation out of training."""
        self._check(request)
        conversation = _turn(turn_id).conversation
        reviews.exclude_conversation(conversation_id=conversation.pk, actor=request.user)  # type: ignore[arg-type]
        messages.success(request, "Excluded the conversation from training. Its own page lets it in again.")
        return self._go_on(request, after=turn_id)

    @method_decorator([require_POST, csrf_protect])
    def undo_view(self, request: HttpRequest) -> HttpResponse:
        """Take back what this reviewer saved last, and open it again."""
        self._check(request)
        last = request.session.pop(LAST_REVIEW, None)
        if last is None:
            messages.info(request, "There is nothing to undo.")
            return HttpResponseRedirect(narrowed(reverse(LIST), request))
        turn_id = UUID(last["turn"])
        try:
            if last["version"] == 1:
                reviews.retract_review(turn_id=turn_id, seen_version=1)
                messages.success(request, "Taken back. Here it is again.")
            else:
                messages.info(request, "This review was a change of an earlier one. Change it again as you like.")
        except NotFound:
            messages.error(request, "The turn is gone: it was erased meanwhile.")
            return HttpResponseRedirect(narrowed(reverse(LIST), request))
        except StaleReview:
            messages.error(request, "Somebody else has changed this review since, so nothing was taken back.")
        return HttpResponseRedirect(narrowed(reverse(PAGE, args=[turn_id]), request))


def _turn(turn_id: UUID) -> Turn:
    relations = ("conversation", "conversation__visitor", "reply", "review_item", "review_item__claimed_by")
    turn = Turn.objects.select_related(*TURN_RELATIONS, *relations).filter(pk=turn_id).first()
    if turn is None:
        raise Http404("This turn does not exist.")
    return turn
