"""Another threshold is another release: the same files but one, the same metrics but three."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.test import Client

from chatbot.exceptions import InvalidArtifact, ReleaseError
from chatbot.inference.classifier import DESCRIPTION_FILE, IntentClassifier
from chatbot.releases.models import Kind, Release
from chatbot.releases.selectors import current_release, release_directory
from chatbot.releases.services import promote_release
from chatbot.releases.thresholds import ThresholdCost, affordable_threshold, store_with_threshold, threshold_costs
from tests.releases.shelf import ENCODER, store_classifier

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("shelf")]


def files(release: Release) -> dict[str, bytes]:
    root = release_directory(release)
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def other_cost(release: Release) -> ThresholdCost:
    return next(cost for cost in threshold_costs(release) if not cost.in_force)


def test_only_the_threshold_differs() -> None:
    release = store_classifier()
    cost = other_cost(release)
    before = files(release)
    made = store_with_threshold(release=release, threshold=cost.threshold)
    assert files(release) == before
    theirs = files(made)
    differing = {name for name in before if before[name] != theirs[name]}
    assert differing == {DESCRIPTION_FILE, "manifest.json"}
    head = IntentClassifier.load(release_directory(made))
    assert head.out_of_scope.threshold == cost.threshold
    strange = ENCODER.encode(["what is the capital of peru"])
    assert head.predict(strange)[0].out_of_scope == (head.out_of_scope_scores(strange)[0] > cost.threshold)
    assert made.metrics["in_scope_rejected"] == cost.rejected
    assert made.metrics["accuracy"] == release.metrics["accuracy"]
    assert made.manifest["configuration"]["threshold_of"] == release.name
    assert [each.threshold for each in threshold_costs(made) if each.in_force] == [cost.threshold]
    promote_release(release=made, reason="fewer wrong answers")


def test_exactly_one_threshold_is_in_force_and_costs_grow() -> None:
    costs = threshold_costs(store_classifier())
    assert sum(cost.in_force for cost in costs) == 1
    assert [cost.rejected for cost in costs] == sorted(cost.rejected for cost in costs)
    assert [cost.threshold for cost in costs] == sorted((cost.threshold for cost in costs), reverse=True)


def test_the_strictest_affordable_threshold_is_found() -> None:
    release = store_classifier()
    costs = threshold_costs(release)
    assert affordable_threshold(release, 1.0) == costs[-1].threshold
    assert affordable_threshold(release, costs[0].rejected) <= costs[0].threshold
    with pytest.raises(ReleaseError, match="so little"):
        affordable_threshold(release, -0.1)


def test_what_was_not_measured_cannot_be_chosen() -> None:
    release = store_classifier()
    with pytest.raises(ReleaseError, match="none of the thresholds"):
        store_with_threshold(release=release, threshold=123.0)
    release.metrics = {}
    with pytest.raises(ReleaseError, match="no measured thresholds"):
        store_with_threshold(release=release, threshold=1.0)


def test_damaged_files_are_not_copied_on() -> None:
    release = store_classifier()
    cost = other_cost(release)
    (release_directory(release) / DESCRIPTION_FILE).write_text("{}")
    with pytest.raises(InvalidArtifact):
        store_with_threshold(release=release, threshold=cost.threshold)
    assert Release.objects.count() == 1


def test_the_command_shows_makes_and_promotes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    release = store_classifier()
    call_command("set_threshold", release.name)
    printed = capsys.readouterr().out
    assert printed.count("more hand-offs") == len(threshold_costs(release))
    assert printed.count("in force") == 1
    call_command("set_threshold", release.name, reject_at_most=20.0)
    assert "promote classifier-0002" in capsys.readouterr().out
    assert current_release(Kind.CLASSIFIER) is None
    call_command("set_threshold", release.name, reject_at_most=20.0, promote=True)
    assert current_release(Kind.CLASSIFIER) == Release.objects.get(name="classifier-0003")
    for wrong, sentence in (("classifier-0099", "no release"), (release.name, "needs --reject-at-most")):
        with pytest.raises(CommandError, match=sentence):
            call_command("set_threshold", wrong, promote=True)


def test_the_page_shows_the_costs_and_makes_a_release(admin_client: Client) -> None:
    release = store_classifier()
    cost = other_cost(release)
    address = f"/admin/releases/release/{release.pk}"
    page = admin_client.get(f"{address}/change/").content.decode()
    assert "Fewer wrong answers" in page
    assert page.count("in force</strong>") == 1
    done = admin_client.post(f"{address}/threshold/", {"threshold": repr(cost.threshold)}, follow=True)
    assert "Made classifier-0002 out of classifier-0001" in done.content.decode()
    for wrong, sentence in (("", "Choose one"), ("nan", "none of the thresholds")):
        assert (
            sentence in admin_client.post(f"{address}/threshold/", {"threshold": wrong}, follow=True).content.decode()
        )
    assert Release.objects.count() == 2


def test_who_may_only_look_sees_the_costs_and_no_buttons(client: Client) -> None:
    release = store_classifier()
    user = User.objects.create_user("lee", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_release"))
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    address = f"/admin/releases/release/{release.pk}"
    page = client.get(f"{address}/change/").content.decode()
    assert "Fewer wrong answers" in page
    assert "Make a release" not in page
    assert client.post(f"{address}/threshold/", {"threshold": "1"}).status_code == 403
    assert Release.objects.count() == 1
