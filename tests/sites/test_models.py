"""What is kept of a site's secret: the secret itself, in one place."""

from __future__ import annotations

import json

import pytest
from auditlog.models import LogEntry
from django.conf import settings
from django.core.exceptions import ValidationError

from chatbot.sites.models import LANGUAGES, Site

pytestmark = pytest.mark.django_db

HALVES = "firstHALFxxxxxxxxxxxxxxxx", "SECONDhalfyyyyyyyyyyyyyyy"


def test_the_audit_log_says_that_the_key_changed_and_keeps_no_part_of_it():
    site = Site.objects.create(key="shop", name="Shop", identity_key="".join(HALVES))
    site.identity_key = "".join(reversed(HALVES)) + "z"
    site.save()
    kept = json.dumps(list(LogEntry.objects.values_list("changes", flat=True)))
    assert kept.count("identity_key") == 2
    for part in (*HALVES, HALVES[0][:8], HALVES[1][-8:]):
        assert part not in kept


def test_a_site_offers_only_languages_that_the_chat_has():
    site = Site(key="shop", name="Shop", languages="de\nzh-Hans\n")
    site.full_clean()
    assert site.offered_languages == ["de", "zh-Hans"]
    site.languages = "de\nxx"
    with pytest.raises(ValidationError, match="xx"):
        site.full_clean()


def test_the_browser_and_the_server_know_the_same_languages():
    words = settings.BASE_DIR / "frontend/src/chat/languages"
    assert {file.stem for file in words.glob("*.ts")} - {"index", "counting", "active.svelte"} == set(LANGUAGES)
