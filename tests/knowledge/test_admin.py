from __future__ import annotations

from collections.abc import Callable

import pytest
from auditlog.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from chatbot.knowledge import services
from chatbot.knowledge.models import Article
from tests.knowledge.conftest import WordCounter

Write = Callable[..., Article]
LIST = "admin:knowledge_article_changelist"
PREVIEW = "admin:knowledge_article_preview"


def staff(*codenames: str) -> Client:
    user = User.objects.create_user("staff", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return signed_in(user)


def signed_in(user: User, *, enforce_csrf_checks: bool = False) -> Client:
    client = Client(enforce_csrf_checks=enforce_csrf_checks)
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    return client


@pytest.mark.parametrize("permission", ["change_article", "add_article"])
def test_preview_is_safe_html_for_who_may_edit(db: None, permission: str) -> None:
    response = staff(permission).post(reverse(PREVIEW), {"fragment": "1", "body": "## A\n\n<script>x</script> *y*"})
    assert response.content.decode() == '<h2 id="a">A</h2>\n<p>&lt;script&gt;x&lt;/script&gt; <em>y</em></p>\n'


def test_preview_without_javascript_is_a_page(db: None) -> None:
    html = staff("change_article").post(reverse(PREVIEW), {"title": "<T>", "summary": "S", "body": "text"}).content
    assert b"<h1>&lt;T&gt;</h1>" in html
    assert b"<p>text</p>" in html
    assert not Article.objects.exists()


def test_preview_is_refused_to_others(db: None) -> None:
    reader = staff("view_article")
    assert reader.post(reverse(PREVIEW), {"body": "x"}).status_code == 403
    assert Client().post(reverse(PREVIEW), {"body": "x"}).status_code == 302
    editor = User.objects.create_superuser("editor", password="x")
    assert signed_in(editor).get(reverse(PREVIEW)).status_code == 405
    assert signed_in(editor, enforce_csrf_checks=True).post(reverse(PREVIEW), {"body": "x"}).status_code == 403


def test_saving_a_form_makes_the_article_stale_and_is_logged(write: Write, encoder: WordCounter, admin_client) -> None:
    article = write("returns", "Old text.", title="Returns")
    services.index_all(encoder)
    address = reverse("admin:knowledge_article_change", args=[article.pk])
    form = admin_client.get(address).content.decode()
    assert "Old text." in form
    assert 'formaction="/admin/knowledge/article/preview/"' in form
    assert form.index('name="_save"') < form.index("formaction=")  # the Enter key presses the first of them
    fields = {"title": "Returns", "slug": "returns", "body": "New text.", "is_published": "on"}
    passages = {"passages-TOTAL_FORMS": "0", "passages-INITIAL_FORMS": "0"}
    assert admin_client.post(address, fields | passages).status_code == 302
    assert list(Article.objects.stale()) == [article]
    assert "New text." in LogEntry.objects.get_for_object(article).first().changes["body"][1]


def test_the_list_says_how_each_index_stands(write: Write, encoder: WordCounter, admin_client) -> None:
    write("good", "text", title="Good")
    services.index_all(encoder)
    write("new", "text", title="New")
    failed = write("bad", "text", title="Bad")
    Article.objects.filter(pk=failed.pk).update(index_error="<weights> missing")
    html = admin_client.get(reverse(LIST)).content.decode()
    assert "failed: &lt;weights&gt; missing" in html
    for status, title in [("indexed", "Good"), ("waiting", "New"), ("failed", "Bad")]:
        result = admin_client.get(reverse(LIST), {"index": status}).context["cl"].queryset
        assert [article.title for article in result] == [title]


def test_actions_reindex_and_publish(write: Write, encoder: WordCounter, admin_client) -> None:
    article = write("good", "text")
    services.index_all(encoder)

    def act(action: str) -> Article:
        data = {"action": action, "_selected_action": [article.pk]}
        assert admin_client.post(reverse(LIST), data).status_code == 302
        return Article.objects.get(pk=article.pk)

    assert not act("reindex").is_indexed
    assert not act("unpublish").is_published
    assert act("publish").is_published


def test_passages_are_shown_and_cannot_be_edited(write: Write, encoder: WordCounter, admin_client) -> None:
    article = write("good", "## Part\n\nA passage’s words.")
    services.index_all(encoder)
    html = admin_client.get(reverse("admin:knowledge_article_change", args=[article.pk])).content.decode()
    assert "A passage’s words." in html.split("Passages, as the bot finds them")[1]
    assert '<a href="/help/good/#part">' in html
    assert 'name="passages-0-text"' not in html
