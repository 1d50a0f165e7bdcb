"""Open tickets, messages that wait, and the journal's lines of one kind are found without a walk through all
there ever were."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

PENDING = sa.text("state = 'pending'")


def upgrade() -> None:
    op.create_index("ix_ticket_closed", "ticket", ["closed_ms", "id"])
    op.create_index("ix_event_kind", "event", ["kind", "id"])
    op.drop_index("ix_outbox_pending", "outbox")
    op.create_index("ix_outbox_state", "outbox", ["state", "seq"])
    op.create_index("ix_outbox_sent_ms", "outbox", ["sent_ms"])


def downgrade() -> None:
    op.drop_index("ix_outbox_sent_ms", "outbox")
    op.drop_index("ix_outbox_state", "outbox")
    op.create_index("ix_outbox_pending", "outbox", ["due_ms"], sqlite_where=PENDING, postgresql_where=PENDING)
    op.drop_index("ix_event_kind", "event")
    op.drop_index("ix_ticket_closed", "ticket")
