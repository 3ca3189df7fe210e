"""Help articles, the passages they are cut into, and retrieval with sources."""
