"""Frontdesk: a customer-service chatbot that learns from its own transcripts."""

__version__ = "0.1.0"
