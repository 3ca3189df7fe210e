"""The replies that the team keeps ready, written by those who use them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin

from chatbot.conversations.models import CannedReply


@admin.register(CannedReply)
class CannedReplyAdmin(admin.ModelAdmin[Any]):
    list_display = ("shortcut", "title", "is_active", "updated_at")
    list_filter = ("is_active",)
    search_fields = ("shortcut", "title", "text")
