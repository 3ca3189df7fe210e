"""The desk: where people of the team answer customers whom the bot has handed over."""
