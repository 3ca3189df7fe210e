"""Editing help articles, with a preview beside the text and the state of their index."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.views.decorators.http import require_POST

from chatbot.knowledge import services
from chatbot.knowledge.markdown import render_markdown
from chatbot.knowledge.models import Article, Passage

# More than any article, and little enough that rendering it again at each pause in typing costs nothing.
PREVIEW_LENGTH = 200_000


class IndexStatusFilter(admin.SimpleListFilter):
    title = "index"
    parameter_name = "index"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("indexed", "Indexed"), ("waiting", "Waiting"), ("failed", "Failed")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Article]) -> QuerySet[Article]:
        indexed = Q(indexed_digest=F("body_digest"), body_digest__gt="")
        match self.value():
            case "indexed":
                return queryset.filter(indexed)
            case "waiting":
                return queryset.exclude(indexed).filter(index_error="")
            case "failed":
                return queryset.exclude(indexed).exclude(index_error="")
        return queryset


class PassageInline(admin.TabularInline[Passage, Article]):
    """What the bot finds of the article. It follows from the text, so nobody edits it."""

    model = Passage
    fields = readonly_fields = ("heading", "text", "link")
    extra = 0
    can_delete = False
    verbose_name_plural = "Passages, as the bot finds them"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Passage]:
        return super().get_queryset(request).select_related("article").defer("embedding")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description="On the page")
    def link(self, passage: Passage) -> str:
        return format_html('<a href="{}">#{}</a>', passage.url, passage.anchor) if passage.anchor else "top of the page"


@admin.register(Article)
class ArticleAdmin(admin.ModelAdmin[Article]):
    list_display = ("title", "category", "is_published", "index_status", "updated_at")
    list_filter = ("is_published", IndexStatusFilter, "category", "updated_at")
    search_fields = ("title", "slug", "summary", "body")
    prepopulated_fields = {"slug": ("title",)}
    readonly_fields = ("index_status", "created_at", "updated_at")
    fieldsets = (
        (None, {"fields": ("title", "slug", "summary", "category", "is_published")}),
        ("State", {"fields": ("index_status", "created_at", "updated_at")}),
        # Last, so that the preview follows it.
        ("Text", {"fields": ("body",)}),
    )
    inlines = (PassageInline,)
    actions = ("reindex", "publish", "unpublish")
    change_form_template = "admin/knowledge/article/change_form.html"

    class Media:
        css = {"all": ("knowledge/prose.css", "knowledge/preview.css")}
        js = ("knowledge/preview.js",)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(require_POST(self.preview))
        return [path("preview/", view, name="knowledge_article_preview"), *super().get_urls()]

    def preview(self, request: HttpRequest) -> HttpResponse:
        """The posted text as customers will see it: the whole page, or the text alone where `fragment` is asked for."""
        if not (self.has_change_permission(request) or self.has_add_permission(request)):
            raise PermissionDenied
        body = render_markdown(request.POST.get("body", "")[:PREVIEW_LENGTH])
        if "fragment" in request.POST:
            return HttpResponse(body)
        draft = Article(title=request.POST.get("title", ""), summary=request.POST.get("summary", ""))
        return render(request, "knowledge/preview.html", {"article": draft, "body": body})

    def save_model(self, request: HttpRequest, obj: Article, form: Any, change: bool) -> None:
        services.save_article(article=obj)

    def get_inlines(self, request: HttpRequest, obj: Article | None) -> Any:
        return self.inlines if obj is not None else ()

    @admin.display(description="Index")
    def index_status(self, article: Article) -> str:
        if article.is_indexed:
            return format_html('<span class="index-status indexed">{}</span>', "indexed")
        if article.index_error:
            return format_html('<span class="index-status failed">failed: {}</span>', article.index_error)
        return format_html('<span class="index-status waiting">{}</span>', "waiting")

    @admin.action(description="Index again", permissions=["change"])
    def reindex(self, request: HttpRequest, queryset: QuerySet[Article]) -> None:
        count = services.mark_stale(article_ids=list(queryset.values_list("pk", flat=True)))
        self.message_user(request, f"{count} articles will be indexed again in a moment.", messages.SUCCESS)

    @admin.action(description="Publish", permissions=["change"])
    def publish(self, request: HttpRequest, queryset: QuerySet[Article]) -> None:
        self._set_published(request, queryset, True)

    @admin.action(description="Unpublish: neither shown nor used in answers", permissions=["change"])
    def unpublish(self, request: HttpRequest, queryset: QuerySet[Article]) -> None:
        self._set_published(request, queryset, False)

    def _set_published(self, request: HttpRequest, queryset: QuerySet[Article], published: bool) -> None:
        articles = list(queryset.exclude(is_published=published))
        for article in articles:  # one by one, so that each stands in the audit log
            article.is_published = published
            services.save_article(article=article)
        state = "published" if published else "unpublished"
        self.message_user(request, f"{len(articles)} articles {state}.", messages.SUCCESS)
