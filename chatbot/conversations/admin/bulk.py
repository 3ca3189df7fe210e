"""Actions on many rows at once. Each says first how many it would touch, and how many not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import ModelAdmin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from chatbot.conversations import reviews
from chatbot.conversations.admin.review_page import may_review
from chatbot.conversations.models import Conversation
from chatbot.intents.wording import counted


@dataclass(frozen=True, slots=True)
class Plan:
    """What an action is about to do. `left_alone` says why so many of those chosen are not touched, if any are not."""

    title: str
    affected: int
    does: str
    left_alone: str
    button: str


class BulkActions(ModelAdmin[Any]):
    """Asks before it acts."""

    def has_review_permission(self, request: HttpRequest) -> bool:
        return may_review(request)

    def confirmed(self, request: HttpRequest, action: str, plan: Plan) -> HttpResponse | None:
        """None where the reviewer has said yes to the plan; else the page that asks, or that nothing is to be done."""
        if request.POST.get("confirmed") == "yes":
            return None
        request.current_app = self.admin_site.name
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": plan.title,
            "plan": plan,
            "action": action,
            "checkbox": ACTION_CHECKBOX_NAME,
            "chosen": request.POST.getlist(ACTION_CHECKBOX_NAME),
            "select_across": request.POST.get("select_across", "0"),
        }
        return TemplateResponse(request, "admin/conversations/confirm.html", context)


class AcceptTurns(BulkActions):
    """For lists whose rows stand for turns."""

    def turn_ids(self, rows: QuerySet[Any]) -> list[UUID]:
        """The turns that the rows stand for."""
        return list(rows.values_list("pk", flat=True))

    @admin.action(description="Accept the selected…", permissions=["review"])
    def accept_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Intent and reply are confirmed as the bot gave them."""
        turn_ids = self.turn_ids(queryset)
        affected = sum(reviews.acceptable_turns(ids).count() for ids in reviews.batched(turn_ids))
        rest = len(turn_ids) - affected
        plan = Plan(
            title="Accept these turns?",
            affected=affected,
            does=f"Intent and reply of {counted(affected, 'turn')} are confirmed as the bot gave them.",
            left_alone=f"{_are_left(rest, 'turn')}: reviewed already, or not answered in full." if rest else "",
            button=f"Accept {counted(affected, 'turn')}",
        )
        if (asking := self.confirmed(request, "accept_selected", plan)) is not None:
            return asking
        accepted = reviews.accept_turns(turn_ids=turn_ids, reviewer=request.user)  # type: ignore[arg-type]
        self.message_user(request, f"Accepted {counted(accepted, 'turn')}.", messages.SUCCESS)
        return None


class TrainingUse(BulkActions):
    """For lists whose rows stand for conversations."""

    def conversation_ids(self, rows: QuerySet[Any]) -> list[UUID]:
        """The conversations that the rows stand for."""
        return list(rows.values_list("pk", flat=True))

    @admin.action(description="Exclude from training…", permissions=["review"])
    def exclude_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """The conversations are kept out of training."""
        return self._set(request, queryset, excluded=True)

    @admin.action(description="Include in training again…", permissions=["review"])
    def include_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """The conversations are let in again."""
        return self._set(request, queryset, excluded=False)

    def _set(self, request: HttpRequest, queryset: QuerySet[Any], *, excluded: bool) -> HttpResponse | None:
        ids = list(dict.fromkeys(self.conversation_ids(queryset)))
        affected = sum(
            Conversation.objects.filter(pk__in=some, excluded_from_training=not excluded).count()
            for some in reviews.batched(ids)
        )
        plan = (_exclusion if excluded else _inclusion)(affected, len(ids) - affected)
        action = "exclude_selected" if excluded else "include_selected"
        if (asking := self.confirmed(request, action, plan)) is not None:
            return asking
        act: Callable[..., int] = reviews.exclude_conversations if excluded else reviews.include_conversations
        changed = act(conversation_ids=ids, actor=request.user)
        done = "Excluded" if excluded else "Included"
        self.message_user(request, f"{done} {counted(changed, 'conversation')}.", messages.SUCCESS)
        return None


def _exclusion(affected: int, rest: int) -> Plan:
    return Plan(
        title="Exclude these conversations from training?",
        affected=affected,
        does=f"Nothing is learnt from {counted(affected, 'conversation')}, and no turn of theirs waits for a review.",
        left_alone=f"{_are_left(rest, 'conversation')}: excluded already." if rest else "",
        button=f"Exclude {counted(affected, 'conversation')}",
    )


def _inclusion(affected: int, rest: int) -> Plan:
    return Plan(
        title="Include these conversations in training again?",
        affected=affected,
        does=f"{counted(affected, 'conversation')} may be learnt from again, where the customer agreed.",
        left_alone=f"{_are_left(rest, 'conversation')}: not excluded." if rest else "",
        button=f"Include {counted(affected, 'conversation')}",
    )


def _are_left(number: int, noun: str) -> str:
    return f"{counted(number, noun)} {'is' if number == 1 else 'are'} left alone"
