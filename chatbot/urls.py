"""Every address the web process answers to."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

admin.site.site_header = "Frontdesk"
admin.site.site_title = "Frontdesk"
admin.site.index_title = "Support desk"

urlpatterns = [
    path("", include("chatbot.conversations.urls")),
    path("", include("chatbot.knowledge.urls")),
    path("dashboard/", include("chatbot.dashboard.urls")),
    path("admin/", admin.site.urls),
]
