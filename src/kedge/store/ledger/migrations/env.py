"""Run by Alembic: migrate over the connection that `kedge.store.ledger.migrate` hands in."""

from alembic import context

from kedge.store.ledger.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
