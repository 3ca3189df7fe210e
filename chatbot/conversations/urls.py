from __future__ import annotations

from django.urls import path

from chatbot.conversations import views
from chatbot.conversations.api import api

urlpatterns = [
    path("", views.chat, name="chat"),
    path("api/", api.urls),
]
