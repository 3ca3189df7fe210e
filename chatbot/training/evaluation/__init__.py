"""What a release does on rows that it was not trained on, beside the one that is served, and whether it may follow it."""
