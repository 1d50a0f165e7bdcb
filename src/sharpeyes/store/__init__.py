"""What must survive a restart: one schema for SQLite and PostgreSQL, and what reads and writes it."""
