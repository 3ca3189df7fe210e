"""What the bot knows: articles in Markdown, and the passages they are cut into."""

from __future__ import annotations

from django.db import models


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

    class Meta:
        ordering = ["title"]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return f"/help/{self.slug}/"


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
