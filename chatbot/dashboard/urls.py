"""The operators' pages."""

from __future__ import annotations

from django.urls import path

from chatbot.dashboard.views import catalogue_check, datasets, evaluations, releases, training, votes
from chatbot.dashboard.views.inbox import inbox
from chatbot.dashboard.views.overview import overview
from chatbot.dashboard.views.performance import performance

app_name = "dashboard"
urlpatterns = [
    path("", overview, name="overview"),
    path("inbox/", inbox, name="inbox"),
    path("performance/", performance, name="performance"),
    path("datasets/", datasets.index, name="datasets"),
    path("datasets/runs/<int:pk>/", datasets.run_page, name="dataset-run"),
    path("datasets/runs/<int:pk>/progress/", datasets.run_progress, name="dataset-progress"),
    path("datasets/runs/<int:pk>/cancel/", datasets.cancel, name="dataset-cancel"),
    path("datasets/<slug:name>/", datasets.page, name="dataset"),
    path("datasets/<slug:name>/files/<str:file>", datasets.download_file, name="dataset-file"),
    path("training/", training.index, name="training"),
    path("training/estimate/", training.estimate, name="training-estimate"),
    path("training/<int:pk>/", training.run_page, name="training-run"),
    path("training/<int:pk>/cancel/", training.cancel, name="training-cancel"),
    path("releases/", releases.index, name="releases"),
    path("releases/<int:pk>/promote/", releases.promote, name="promote"),
    path("releases/<int:pk>/shadow/", releases.start_shadow, name="shadow-start"),
    path("releases/shadow/stop/", releases.stop_shadow, name="shadow-stop"),
    path("releases/<int:pk>/evaluate/", releases.evaluate, name="evaluate"),
    path("releases/<str:kind>/rollback/", releases.go_back, name="rollback"),
    path("evaluations/<int:pk>/", evaluations.page, name="evaluation"),
    path("evaluations/<int:pk>/evaluation.json", evaluations.download, name="evaluation-json"),
    path("evaluations/<int:pk>/votes/", votes.ballot, name="ballot"),
    path("evaluations/<int:pk>/votes/<int:pair>/", votes.cast_vote, name="vote"),
    path("evaluations/runs/<int:pk>/", evaluations.run_page, name="evaluation-run"),
    path("evaluations/runs/<int:pk>/progress/", evaluations.run_progress, name="evaluation-progress"),
    path("evaluations/runs/<int:pk>/cancel/", evaluations.cancel, name="evaluation-cancel"),
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
