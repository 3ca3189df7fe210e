"""What is kept of a site's secret: the secret itself, in one place."""

from __future__ import annotations

import json

import pytest
from auditlog.models import LogEntry

from chatbot.sites.models import Site

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
