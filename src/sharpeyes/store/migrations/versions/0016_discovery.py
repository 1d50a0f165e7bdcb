"""Runs of discovery are kept, and the devices they found wait to be approved."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

MILLIS = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "discovery_run",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("started_ms", MILLIS, nullable=False),
        sa.Column("ended_ms", MILLIS, nullable=True),
        sa.Column("started_by", sa.Text(), nullable=False),
        sa.Column("stopped_by", sa.Text(), nullable=True),
        sa.Column("outcome", sa.String(length=32), nullable=True),
        sa.Column("scope", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("asked", sa.Integer(), nullable=False),
        sa.Column("to_ask", sa.Integer(), nullable=False),
        sa.Column("answered", sa.Integer(), nullable=False),
        sa.Column("found", sa.Integer(), nullable=False),
        sa.Column("enrolled", sa.Integer(), nullable=False),
        sa.Column("waiting", sa.Integer(), nullable=False),
        sa.Column("added", sa.Integer(), nullable=False),
        sa.Column("errors", sa.JSON(none_as_null=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_discovery_run")),
    )
    op.create_index(op.f("ix_discovery_run_started_ms"), "discovery_run", ["started_ms"], unique=False)
    op.create_table(
        "found_device",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("position", sa.String(length=40), nullable=False),
        sa.Column("xaddr", sa.Text(), nullable=False),
        sa.Column("mac", sa.Text(), nullable=True),
        sa.Column("manufacturer", sa.Text(), nullable=True),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("serial", sa.Text(), nullable=True),
        sa.Column("endpoint", sa.Text(), nullable=True),
        sa.Column("firmware", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("location", sa.Text(), nullable=True),
        sa.Column("fingerprint", sa.String(length=64), nullable=True),
        sa.Column("clock_offset_s", sa.Float(), nullable=True),
        sa.Column("channels", sa.Integer(), nullable=False),
        sa.Column("streams", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("how", sa.String(length=32), nullable=False),
        sa.Column("network", sa.Text(), nullable=True),
        sa.Column("run_id", sa.String(length=64), nullable=True),
        sa.Column("first_ms", MILLIS, nullable=False),
        sa.Column("last_ms", MILLIS, nullable=False),
        sa.Column("device", sa.String(length=64), nullable=True),
        sa.Column("credential", sa.String(length=64), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_ms", MILLIS, nullable=True),
        sa.Column("remark", sa.Text(), nullable=True),
        sa.Column("told", sa.JSON(none_as_null=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["credential"], ["credential.id"], name=op.f("fk_found_device_credential_credential")
        ),
        sa.ForeignKeyConstraint(["device"], ["device.id"], name=op.f("fk_found_device_device_device")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_found_device")),
    )
    op.create_index(op.f("ix_found_device_address"), "found_device", ["address"], unique=False)
    op.create_index(op.f("ix_found_device_last_ms"), "found_device", ["last_ms"], unique=False)
    op.create_index(op.f("ix_found_device_mac"), "found_device", ["mac"], unique=False)
    op.create_index(op.f("ix_found_device_position"), "found_device", ["position"], unique=False)
    op.create_index(op.f("ix_found_device_run_id"), "found_device", ["run_id"], unique=False)
    op.create_index(op.f("ix_found_device_status"), "found_device", ["status"], unique=False)


def downgrade() -> None:
    op.drop_table("found_device")
    op.drop_table("discovery_run")
