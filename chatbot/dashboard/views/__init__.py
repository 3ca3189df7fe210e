"""The operators' pages. No logic of their own: they show what selectors say and do what services do."""
