"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

MILLIS = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
DOCUMENT = sa.JSON(none_as_null=True)


def upgrade() -> None:
    op.create_table(
        "api_token",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", DOCUMENT, nullable=False),
        sa.Column("created_ms", MILLIS, nullable=False),
        sa.Column("expires_ms", MILLIS, nullable=True),
        sa.Column("last_used_ms", MILLIS, nullable=True),
        sa.Column("revoked_ms", MILLIS, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_token")),
        sa.UniqueConstraint("hash", name=op.f("uq_api_token_hash")),
    )
    op.create_table(
        "area",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("parent", sa.String(length=64), nullable=True),
        sa.Column("code", sa.String(length=8), nullable=True),
        sa.Column("retired_ms", MILLIS, nullable=True),
        sa.ForeignKeyConstraint(["parent"], ["area.id"], name=op.f("fk_area_parent_area")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_area")),
    )
    op.create_table(
        "credential",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("changed_ms", MILLIS, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credential")),
    )
    op.create_table(
        "department",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("industry", sa.String(length=2), nullable=True),
        sa.Column("retired_ms", MILLIS, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_department")),
    )
    op.create_table(
        "event",
        sa.Column("id", MILLIS, autoincrement=True, nullable=False),
        sa.Column("at_ms", MILLIS, nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("detail", DOCUMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
    )
    op.create_index(op.f("ix_event_at_ms"), "event", ["at_ms"], unique=False)
    op.create_index(op.f("ix_event_subject"), "event", ["subject"], unique=False)

    op.create_table(
        "heartbeat",
        sa.Column("role", sa.String(length=32), nullable=False),
        sa.Column("at_ms", MILLIS, nullable=False),
        sa.PrimaryKeyConstraint("role", name=op.f("pk_heartbeat")),
    )
    op.create_table(
        "tier_policy",
        sa.Column("tier", sa.String(length=32), nullable=False),
        sa.Column("target", sa.Float(), nullable=False),
        sa.Column("liveness_s", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("tier", name=op.f("pk_tier_policy")),
    )
    op.create_table(
        "zone",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("network", sa.String(length=1), nullable=False),
        sa.Column("retired_ms", MILLIS, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_zone")),
    )
    op.create_table(
        "device",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("mac", sa.Text(), nullable=True),
        sa.Column("manufacturer", sa.Text(), nullable=True),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("serial", sa.Text(), nullable=True),
        sa.Column("endpoint", sa.Text(), nullable=True),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("xaddr", sa.Text(), nullable=True),
        sa.Column("firmware", sa.Text(), nullable=True),
        sa.Column("session_limit", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=True),
        sa.Column("credential", sa.String(length=64), nullable=True),
        sa.Column("created_ms", MILLIS, nullable=False),
        sa.Column("changed_ms", MILLIS, nullable=False),
        sa.Column("retired_ms", MILLIS, nullable=True),
        sa.ForeignKeyConstraint(
            ["credential"], ["credential.id"], name=op.f("fk_device_credential_credential")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_device")),
    )
    op.create_index(op.f("ix_device_address"), "device", ["address"], unique=False)
    op.create_index(op.f("ix_device_mac"), "device", ["mac"], unique=False)

    op.create_table(
        "camera",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("tier", sa.String(length=32), nullable=False),
        sa.Column("department", sa.String(length=64), nullable=False),
        sa.Column("area", sa.String(length=64), nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("origin", sa.String(length=32), nullable=False),
        sa.Column("code", sa.String(length=20), nullable=True),
        sa.Column("device", sa.String(length=64), nullable=True),
        sa.Column("channel", sa.Text(), nullable=True),
        sa.Column("snapshot_url", sa.Text(), nullable=True),
        sa.Column("credential", sa.String(length=64), nullable=True),
        sa.Column("transport", sa.String(length=32), nullable=False),
        sa.Column("liveness_s", sa.Float(), nullable=True),
        sa.Column("maintenance", sa.Boolean(), nullable=False),
        sa.Column("tags", DOCUMENT, nullable=False),
        sa.Column("created_ms", MILLIS, nullable=False),
        sa.Column("changed_ms", MILLIS, nullable=False),
        sa.Column("retired_ms", MILLIS, nullable=True),
        sa.ForeignKeyConstraint(["area"], ["area.id"], name=op.f("fk_camera_area_area")),
        sa.ForeignKeyConstraint(
            ["credential"], ["credential.id"], name=op.f("fk_camera_credential_credential")
        ),
        sa.ForeignKeyConstraint(
            ["department"], ["department.id"], name=op.f("fk_camera_department_department")
        ),
        sa.ForeignKeyConstraint(["device"], ["device.id"], name=op.f("fk_camera_device_device")),
        sa.ForeignKeyConstraint(["zone"], ["zone.id"], name=op.f("fk_camera_zone_zone")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_camera")),
        sa.UniqueConstraint("code", name=op.f("uq_camera_code")),
    )
    op.create_index(op.f("ix_camera_area"), "camera", ["area"], unique=False)
    op.create_index(op.f("ix_camera_credential"), "camera", ["credential"], unique=False)
    op.create_index(op.f("ix_camera_department"), "camera", ["department"], unique=False)
    op.create_index(op.f("ix_camera_device"), "camera", ["device"], unique=False)
    op.create_index(op.f("ix_camera_tier"), "camera", ["tier"], unique=False)
    op.create_index(op.f("ix_camera_zone"), "camera", ["zone"], unique=False)

    op.create_table(
        "camera_state",
        sa.Column("camera_id", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("since_ms", MILLIS, nullable=False),
        sa.Column("cause", sa.String(length=32), nullable=True),
        sa.Column("observed_ms", MILLIS, nullable=True),
        sa.Column("fails", sa.Integer(), nullable=False),
        sa.Column("passes", sa.Integer(), nullable=False),
        sa.Column("streak_ms", MILLIS, nullable=True),
        sa.Column("last_probe", DOCUMENT, nullable=True),
        sa.ForeignKeyConstraint(["camera_id"], ["camera.id"], name=op.f("fk_camera_state_camera_id_camera")),
        sa.PrimaryKeyConstraint("camera_id", name=op.f("pk_camera_state")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "membership",
        sa.Column("camera_id", sa.String(length=64), nullable=False),
        sa.Column("started_ms", MILLIS, autoincrement=False, nullable=False),
        sa.Column("ended_ms", MILLIS, nullable=True),
        sa.Column("tier", sa.String(length=32), nullable=False),
        sa.Column("department", sa.String(length=64), nullable=False),
        sa.Column("area", sa.String(length=64), nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.CheckConstraint("ended_ms > started_ms", name=op.f("ck_membership_not_empty")),
        sa.ForeignKeyConstraint(["area"], ["area.id"], name=op.f("fk_membership_area_area")),
        sa.ForeignKeyConstraint(["camera_id"], ["camera.id"], name=op.f("fk_membership_camera_id_camera")),
        sa.ForeignKeyConstraint(
            ["department"], ["department.id"], name=op.f("fk_membership_department_department")
        ),
        sa.ForeignKeyConstraint(["zone"], ["zone.id"], name=op.f("fk_membership_zone_zone")),
        sa.PrimaryKeyConstraint("camera_id", "started_ms", name=op.f("pk_membership")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "uq_membership_open",
        "membership",
        ["camera_id"],
        unique=True,
        sqlite_where=sa.text("ended_ms IS NULL"),
        postgresql_where=sa.text("ended_ms IS NULL"),
    )

    op.create_table(
        "state_interval",
        sa.Column("camera_id", sa.String(length=64), nullable=False),
        sa.Column("started_ms", MILLIS, autoincrement=False, nullable=False),
        sa.Column("ended_ms", MILLIS, nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("cause", sa.String(length=32), nullable=True),
        sa.CheckConstraint("ended_ms > started_ms", name=op.f("ck_state_interval_not_empty")),
        sa.ForeignKeyConstraint(
            ["camera_id"], ["camera.id"], name=op.f("fk_state_interval_camera_id_camera")
        ),
        sa.PrimaryKeyConstraint("camera_id", "started_ms", name=op.f("pk_state_interval")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_state_interval_ended_ms"), "state_interval", ["ended_ms"], unique=False)

    op.create_table(
        "stream",
        sa.Column("camera_id", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=32), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("codec", sa.Text(), nullable=True),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("fps", sa.Float(), nullable=True),
        sa.Column("profile", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["camera_id"], ["camera.id"], name=op.f("fk_stream_camera_id_camera")),
        sa.PrimaryKeyConstraint("camera_id", "role", name=op.f("pk_stream")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("stream")

    op.drop_table("state_interval")

    op.drop_table("membership")
    op.drop_table("camera_state")

    op.drop_table("camera")

    op.drop_table("device")
    op.drop_table("zone")
    op.drop_table("tier_policy")
    op.drop_table("heartbeat")

    op.drop_table("event")
    op.drop_table("department")
    op.drop_table("credential")
    op.drop_table("area")
    op.drop_table("api_token")
