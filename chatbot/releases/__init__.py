"""The model registry: immutable artifacts, who promoted which, and the models this worker serves."""
