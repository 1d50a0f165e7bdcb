"""What must survive a restart: one schema for SQLite and PostgreSQL, and what reads and writes it."""

import sharpeyes.store.access_schema  # noqa: F401  (with it, schema.metadata holds every table)
