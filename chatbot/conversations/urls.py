from __future__ import annotations

from django.urls import path

from chatbot.conversations import views
from chatbot.conversations.api import api

urlpatterns = [
    path("", views.chat, name="chat"),
    path("embed/<slug:key>/", views.embedded_chat, name="embedded-chat"),
    path("embed/<slug:key>/try/", views.trial, name="embedding-trial"),
    path("embed/<slug:key>/launcher.json", views.launcher, name="launcher"),
    path("widget.js", views.widget, name="widget"),
    path("api/", api.urls),
]
