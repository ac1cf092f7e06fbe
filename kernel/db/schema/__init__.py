"""The schema: which migration the database is at, and how Alembic brings it further."""
