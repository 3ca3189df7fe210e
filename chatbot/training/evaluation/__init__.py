"""What a release does on rows that it has not seen, beside the one that is served, and whether it may follow it."""
