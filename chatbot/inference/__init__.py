"""The ground floor: encoder, classifier, prompts and generation engines. Never imports Django."""
