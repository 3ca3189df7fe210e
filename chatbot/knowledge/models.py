"""What the bot knows: articles in Markdown, and the passages they are cut into."""

from __future__ import annotations

import hashlib
from typing import Any

from django.db import models
from django.urls import reverse


class ArticleQuerySet(models.QuerySet["Article"]):
    def published(self) -> ArticleQuerySet:
        """What customers may see."""
        return self.filter(is_published=True)

    def stale(self) -> ArticleQuerySet:
        """Those whose passages do not follow from their text."""
        return self.exclude(indexed_digest=models.F("body_digest"), body_digest__gt="")


class Article(models.Model):
    """A help article. Its passages follow its text: they are made anew when `body_digest` changes."""

    slug = models.SlugField(max_length=120, unique=True)
    title = models.CharField(max_length=200)
    summary = models.CharField(max_length=400, blank=True)
    category = models.CharField(max_length=80, blank=True)
    body = models.TextField(help_text="Markdown. Each “##” section becomes a passage.")
    is_published = models.BooleanField(default=True, help_text="Unpublished articles are neither shown nor retrieved.")
    body_digest = models.CharField(max_length=64, editable=False, blank=True)
    indexed_digest = models.CharField(max_length=64, editable=False, blank=True)
    index_error = models.CharField(max_length=400, editable=False, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = ArticleQuerySet.as_manager()

    class Meta:
        ordering = ["title"]

    def __str__(self) -> str:
        return self.title

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.body_digest = self.content_digest()
        if kwargs.get("update_fields") is not None:
            kwargs["update_fields"] = {*kwargs["update_fields"], "body_digest", "updated_at"}
        super().save(*args, **kwargs)

    def get_absolute_url(self) -> str:
        return reverse("help-article", args=[self.slug])

    def content_digest(self) -> str:
        """SHA-256 over what is embedded: the title counts, since every passage is read under it."""
        return hashlib.sha256(f"{self.title}\0{self.body}".encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def is_indexed(self) -> bool:
        return self.indexed_digest == self.body_digest != ""


class Passage(models.Model):
    """One section of an article with its embedding: float32, little-endian, unit length."""

    article = models.ForeignKey(Article, models.CASCADE, related_name="passages")
    position = models.PositiveIntegerField()
    heading = models.CharField(max_length=200, blank=True)
    anchor = models.CharField(max_length=200, blank=True)
    text = models.TextField(help_text="Plain text, as the model and the customer's source card see it.")
    embedding = models.BinaryField()
    encoder_digest = models.CharField(max_length=64)

    class Meta:
        ordering = ["article", "position"]
        constraints = [models.UniqueConstraint(fields=["article", "position"], name="passage_once_per_position")]

    def __str__(self) -> str:
        return f"{self.article_id}#{self.position}"

    @property
    def url(self) -> str:
        return f"{self.article.get_absolute_url()}#{self.anchor}" if self.anchor else self.article.get_absolute_url()
