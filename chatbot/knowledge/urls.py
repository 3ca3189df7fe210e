from __future__ import annotations

from django.urls import path

from chatbot.knowledge import views

urlpatterns = [
    path("help/", views.index, name="help"),
    path("help/<slug:slug>/", views.article, name="help-article"),
]
