"""The catalogue: intents, their examples, and what the bot may do for each."""
