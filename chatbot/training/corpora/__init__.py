"""Examples that Frontdesk brings along to train its default models on."""

from chatbot.training.corpora.grounded import grounded_corpus

__all__ = ["grounded_corpus"]
