"""Faults closed in a loop: what is watched, causes, tickets, silences, the outbox."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

MILLIS = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
DOCUMENT = sa.JSON(none_as_null=True)


def upgrade() -> None:
    op.create_table(
        "silence",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("scope", sa.String(length=32), nullable=True),
        sa.Column("subject", sa.String(length=64), nullable=True),
        sa.Column("started_ms", MILLIS, nullable=False),
        sa.Column("ended_ms", MILLIS, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.CheckConstraint("ended_ms > started_ms", name=op.f("ck_silence_not_empty")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_silence")),
    )
    op.create_index(op.f("ix_silence_ended_ms"), "silence", ["ended_ms"], unique=False)
    op.create_table(
        "ticket",
        sa.Column("id", MILLIS, nullable=False),
        sa.Column("scope", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("severity", sa.String(length=32), nullable=False),
        sa.Column("stage", sa.String(length=32), nullable=False),
        sa.Column("cause", sa.Text(), nullable=True),
        sa.Column("started_ms", MILLIS, nullable=False),
        sa.Column("raised_ms", MILLIS, nullable=False),
        sa.Column("acknowledge_by_ms", MILLIS, nullable=False),
        sa.Column("due_ms", MILLIS, nullable=False),
        sa.Column("tier", sa.String(length=32), nullable=True),
        sa.Column("department", sa.String(length=64), nullable=True),
        sa.Column("area", sa.String(length=64), nullable=True),
        sa.Column("zone", sa.String(length=64), nullable=True),
        sa.Column("unit", sa.String(length=64), nullable=True),
        sa.Column("rule", sa.Text(), nullable=True),
        sa.Column("acknowledged_ms", MILLIS, nullable=True),
        sa.Column("handled_ms", MILLIS, nullable=True),
        sa.Column("recovered_ms", MILLIS, nullable=True),
        sa.Column("closed_ms", MILLIS, nullable=True),
        sa.Column("resume", sa.String(length=32), nullable=True),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("overdue_ms", MILLIS, nullable=True),
        sa.Column("cycle", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("children", sa.Integer(), nullable=False),
        sa.Column("evidence", DOCUMENT, nullable=True),
        sa.CheckConstraint(
            "(closed_ms IS NULL) = (stage NOT IN ('closed', 'voided'))", name=op.f("ck_ticket_ended")
        ),
        sa.CheckConstraint("stage <> 'closed' OR evidence IS NOT NULL", name=op.f("ck_ticket_proven")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ticket")),
    )
    op.create_index("ix_ticket_key", "ticket", ["scope", "subject", "kind", "closed_ms"], unique=False)
    op.create_index(op.f("ix_ticket_raised_ms"), "ticket", ["raised_ms"], unique=False)
    op.create_index(op.f("ix_ticket_unit"), "ticket", ["unit"], unique=False)
    op.create_index(
        "uq_ticket_open",
        "ticket",
        ["scope", "subject", "kind"],
        unique=True,
        sqlite_where=sa.text("closed_ms IS NULL"),
        postgresql_where=sa.text("closed_ms IS NULL"),
    )
    op.create_table(
        "cause_episode",
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("at_ms", MILLIS, autoincrement=False, nullable=False),
        sa.Column("cameras", DOCUMENT, nullable=False),
        sa.ForeignKeyConstraint(["zone"], ["zone.id"], name=op.f("fk_cause_episode_zone_zone")),
        sa.PrimaryKeyConstraint("zone", "at_ms", name=op.f("pk_cause_episode")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "cause_node",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("parent", sa.String(length=64), nullable=True),
        sa.Column("department", sa.String(length=64), nullable=True),
        sa.Column("origin", sa.String(length=32), nullable=False),
        sa.Column("changed_ms", MILLIS, nullable=False),
        sa.Column("retired_ms", MILLIS, nullable=True),
        sa.ForeignKeyConstraint(
            ["department"], ["department.id"], name=op.f("fk_cause_node_department_department")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cause_node")),
    )
    op.create_table(
        "outbox",
        sa.Column("seq", MILLIS, nullable=False),
        sa.Column("key", sa.String(length=36), nullable=False),
        sa.Column("once", sa.String(length=300), nullable=False),
        sa.Column("recipient", sa.String(length=64), nullable=False),
        sa.Column("ticket", MILLIS, nullable=False),
        sa.Column("notice", DOCUMENT, nullable=False),
        sa.Column("created_ms", MILLIS, nullable=False),
        sa.Column("due_ms", MILLIS, nullable=False),
        sa.Column("digest", sa.Boolean(), nullable=False),
        sa.Column("batch", sa.String(length=36), nullable=True),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("leased_ms", MILLIS, nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("sent_ms", MILLIS, nullable=True),
        sa.ForeignKeyConstraint(["ticket"], ["ticket.id"], name=op.f("fk_outbox_ticket_ticket")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_outbox")),
        sa.UniqueConstraint("key", name=op.f("uq_outbox_key")),
        sa.UniqueConstraint("once", name=op.f("uq_outbox_once")),
    )
    op.create_index(op.f("ix_outbox_batch"), "outbox", ["batch"], unique=False)
    op.create_index(
        "ix_outbox_pending",
        "outbox",
        ["due_ms"],
        unique=False,
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index(op.f("ix_outbox_ticket"), "outbox", ["ticket"], unique=False)
    op.create_table(
        "ticket_entry",
        sa.Column("id", MILLIS, nullable=False),
        sa.Column("ticket", MILLIS, nullable=False),
        sa.Column("at_ms", MILLIS, nullable=False),
        sa.Column("move", sa.String(length=32), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("attachment", sa.String(length=512), nullable=True),
        sa.Column("detail", DOCUMENT, nullable=True),
        sa.ForeignKeyConstraint(["ticket"], ["ticket.id"], name=op.f("fk_ticket_entry_ticket_ticket")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ticket_entry")),
    )
    op.create_index(op.f("ix_ticket_entry_at_ms"), "ticket_entry", ["at_ms"], unique=False)
    op.create_index(op.f("ix_ticket_entry_ticket"), "ticket_entry", ["ticket"], unique=False)
    op.create_table(
        "cause_edge",
        sa.Column("camera_id", sa.String(length=64), nullable=False),
        sa.Column("origin", sa.String(length=32), nullable=False),
        sa.Column("node", sa.String(length=64), nullable=False),
        sa.Column("changed_ms", MILLIS, nullable=False),
        sa.ForeignKeyConstraint(["camera_id"], ["camera.id"], name=op.f("fk_cause_edge_camera_id_camera")),
        sa.PrimaryKeyConstraint("camera_id", "origin", name=op.f("pk_cause_edge")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_cause_edge_node"), "cause_edge", ["node"], unique=False)
    op.create_table(
        "fault_watch",
        sa.Column("camera_id", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("since_ms", MILLIS, nullable=False),
        sa.Column("cause", sa.Text(), nullable=True),
        sa.Column("at_ms", MILLIS, nullable=False),
        sa.Column("history", sa.String(length=21), nullable=False),
        sa.Column("sampled_ms", MILLIS, nullable=False),
        sa.Column("flapping", sa.Boolean(), nullable=False),
        sa.Column("upstream", sa.String(length=64), nullable=True),
        sa.Column("released_ms", MILLIS, nullable=True),
        sa.ForeignKeyConstraint(["camera_id"], ["camera.id"], name=op.f("fk_fault_watch_camera_id_camera")),
        sa.PrimaryKeyConstraint("camera_id", name=op.f("pk_fault_watch")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_fault_watch_state"), "fault_watch", ["state"], unique=False)
    op.create_index(op.f("ix_fault_watch_upstream"), "fault_watch", ["upstream"], unique=False)


def downgrade() -> None:
    op.drop_table("fault_watch")
    op.drop_table("cause_edge")
    op.drop_table("ticket_entry")
    op.drop_table("outbox")
    op.drop_table("cause_node")
    op.drop_table("cause_episode")
    op.drop_table("ticket")
    op.drop_table("silence")
