"""Dossiers, what was set by hand, boundaries of areas, import maps, saved views, the shift log."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

MILLIS = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
DOCUMENT = sa.JSON(none_as_null=True)


def upgrade() -> None:
    op.create_table(
        "import_map",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("map", DOCUMENT, nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.Column("changed_ms", MILLIS, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_import_map")),
    )
    op.create_table(
        "area_boundary",
        sa.Column("area", sa.String(length=64), nullable=False),
        sa.Column("geometry", DOCUMENT, nullable=False),
        sa.ForeignKeyConstraint(["area"], ["area.id"], name=op.f("fk_area_boundary_area_area")),
        sa.PrimaryKeyConstraint("area", name=op.f("pk_area_boundary")),
    )
    op.create_table(
        "shift",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("department", sa.String(length=64), nullable=False),
        sa.Column("started_ms", MILLIS, nullable=False),
        sa.Column("operators", DOCUMENT, nullable=False),
        sa.Column("ended_ms", MILLIS, nullable=True),
        sa.Column("ended_by", sa.String(length=64), nullable=True),
        sa.Column("summary", DOCUMENT, nullable=True),
        sa.Column("signed_ms", MILLIS, nullable=True),
        sa.Column("signed_by", sa.String(length=64), nullable=True),
        sa.Column("remark", sa.Text(), nullable=True),
        sa.CheckConstraint("(ended_ms IS NULL) = (summary IS NULL)", name=op.f("ck_shift_summed_up")),
        sa.CheckConstraint("ended_ms > started_ms", name=op.f("ck_shift_not_empty")),
        sa.CheckConstraint("signed_by <> ended_by", name=op.f("ck_shift_two_people")),
        sa.ForeignKeyConstraint(
            ["department"], ["department.id"], name=op.f("fk_shift_department_department")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shift")),
    )
    op.create_index("ix_shift_department", "shift", ["department", "started_ms"], unique=False)
    op.create_index(
        "uq_shift_open",
        "shift",
        ["department"],
        unique=True,
        sqlite_where=sa.text("ended_ms IS NULL"),
        postgresql_where=sa.text("ended_ms IS NULL"),
    )
    op.create_table(
        "saved_view",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("page", sa.String(length=32), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("created_ms", MILLIS, nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name=op.f("fk_saved_view_user_id_user_account")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved_view")),
    )
    op.create_index(op.f("ix_saved_view_user_id"), "saved_view", ["user_id"], unique=False)
    op.create_table(
        "shift_note",
        sa.Column("id", MILLIS, nullable=False),
        sa.Column("shift", sa.String(length=64), nullable=False),
        sa.Column("at_ms", MILLIS, nullable=False),
        sa.Column("author", sa.String(length=64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["shift"], ["shift.id"], name=op.f("fk_shift_note_shift_shift")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shift_note")),
    )
    op.create_index(op.f("ix_shift_note_shift"), "shift_note", ["shift"], unique=False)
    op.create_table(
        "camera_edited",
        sa.Column("camera_id", sa.String(length=64), nullable=False),
        sa.Column("field", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["camera_id"], ["camera.id"], name=op.f("fk_camera_edited_camera_id_camera")),
        sa.PrimaryKeyConstraint("camera_id", "field", name=op.f("pk_camera_edited")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "dossier",
        sa.Column("camera_id", sa.String(length=64), nullable=False),
        sa.Column("manufacturer", sa.Text(), nullable=True),
        sa.Column("region", sa.Text(), nullable=True),
        sa.Column("point_type", sa.String(length=32), nullable=True),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("alias", sa.Text(), nullable=True),
        sa.Column("ipv4", sa.Text(), nullable=True),
        sa.Column("ipv6", sa.Text(), nullable=True),
        sa.Column("mac", sa.Text(), nullable=True),
        sa.Column("camera_type", sa.Text(), nullable=True),
        sa.Column("function_type", sa.Text(), nullable=True),
        sa.Column("fill_light", sa.Text(), nullable=True),
        sa.Column("encoding", sa.Text(), nullable=True),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("longitude", sa.Float(), nullable=True),
        sa.Column("latitude", sa.Float(), nullable=True),
        sa.Column("place_type", sa.Text(), nullable=True),
        sa.Column("direction", sa.Text(), nullable=True),
        sa.Column("networked", sa.String(length=32), nullable=True),
        sa.Column("police_unit", sa.Text(), nullable=True),
        sa.Column("installed", sa.String(length=10), nullable=True),
        sa.Column("keeper", sa.Text(), nullable=True),
        sa.Column("contact", sa.Text(), nullable=True),
        sa.Column("retention_days", sa.Integer(), nullable=True),
        sa.Column("status", sa.String(length=32), nullable=True),
        sa.Column("industry", sa.Text(), nullable=True),
        sa.Column("filing_number", sa.Text(), nullable=True),
        sa.Column("filing_date", sa.String(length=10), nullable=True),
        sa.Column("sign", sa.Text(), nullable=True),
        sa.Column("changed_ms", MILLIS, nullable=False),
        sa.ForeignKeyConstraint(["camera_id"], ["camera.id"], name=op.f("fk_dossier_camera_id_camera")),
        sa.PrimaryKeyConstraint("camera_id", name=op.f("pk_dossier")),
    )
    op.create_index(op.f("ix_dossier_ipv4"), "dossier", ["ipv4"], unique=False)
    op.create_index(op.f("ix_dossier_latitude"), "dossier", ["latitude"], unique=False)


def downgrade() -> None:

    op.drop_index(op.f("ix_dossier_latitude"), table_name="dossier")
    op.drop_index(op.f("ix_dossier_ipv4"), table_name="dossier")
    op.drop_table("dossier")
    op.drop_table("camera_edited")
    op.drop_index(op.f("ix_shift_note_shift"), table_name="shift_note")
    op.drop_table("shift_note")
    op.drop_index(op.f("ix_saved_view_user_id"), table_name="saved_view")
    op.drop_table("saved_view")
    op.drop_index(
        "uq_shift_open",
        table_name="shift",
        sqlite_where=sa.text("ended_ms IS NULL"),
        postgresql_where=sa.text("ended_ms IS NULL"),
    )
    op.drop_index("ix_shift_department", table_name="shift")
    op.drop_table("shift")
    op.drop_table("area_boundary")
    op.drop_table("import_map")
