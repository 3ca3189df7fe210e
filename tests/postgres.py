"""`python -m tests.postgres` prints the URL of a Postgres on this machine that lets us create databases, or nothing.

Only the local socket is asked, so no database that somebody else cares about is reached by chance.
"""

from __future__ import annotations

import psycopg


def local_postgres_url() -> str | None:
    """The URL for TEST_DATABASE_URL, if a server answers and this user may create databases there."""
    try:
        with psycopg.connect("dbname=postgres connect_timeout=2") as connection:
            row = connection.execute(
                "SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user"
            ).fetchone()
    except psycopg.Error:
        return None
    return "postgres:///frontdesk" if row and row[0] else None


if __name__ == "__main__":
    print(local_postgres_url() or "")
