"""The demo shop."""


def seed_demo() -> None: ...
