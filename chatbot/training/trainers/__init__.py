"""The training recipes. Plain libraries: they know texts, labels and models, and nothing of Django."""
