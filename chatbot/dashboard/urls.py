"""The operators' pages."""

from __future__ import annotations

from django.urls import path

from chatbot.dashboard.views import catalogue_check, training
from chatbot.dashboard.views.overview import overview
from chatbot.dashboard.views.performance import performance

app_name = "dashboard"
urlpatterns = [
    path("", overview, name="overview"),
    path("performance/", performance, name="performance"),
    path("training/", training.index, name="training"),
    path("training/<int:pk>/", training.run_page, name="training-run"),
    path("training/<int:pk>/cancel/", training.cancel, name="training-cancel"),
    path("catalogue-check/", catalogue_check.catalogue_check, name="catalogue-check"),
    path("catalogue-check/<int:pk>/", catalogue_check.run_page, name="catalogue-check-run"),
    path("catalogue-check/<int:pk>/progress/", catalogue_check.run_progress, name="catalogue-check-progress"),
    path("catalogue-check/<int:pk>/cancel/", catalogue_check.cancel, name="catalogue-check-cancel"),
    path(
        "catalogue-check/<int:pk>/confused/<str:intent>/<str:given>/",
        catalogue_check.confused_examples,
        name="catalogue-check-confused",
    ),
]
