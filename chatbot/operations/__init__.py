"""Running the whole: supervisor, embedded broker, health, metrics, the demo shop."""
