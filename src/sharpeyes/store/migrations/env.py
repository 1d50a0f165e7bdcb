"""Run by Alembic, on the connection and within the transaction that the caller holds."""

from alembic import context

from sharpeyes.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite cannot alter most of a table in place
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
