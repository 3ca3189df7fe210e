"""The operators' pages."""

from __future__ import annotations

from django.urls import path

from chatbot.dashboard import views

app_name = "dashboard"
urlpatterns = [path("", views.overview, name="overview")]
