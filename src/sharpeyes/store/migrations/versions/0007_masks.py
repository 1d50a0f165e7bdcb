"""Privacy masks of cameras."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

DOCUMENT = sa.JSON(none_as_null=True)


def upgrade() -> None:
    op.create_table(
        "camera_mask",
        sa.Column("camera_id", sa.String(length=64), nullable=False),
        sa.Column("masks", DOCUMENT, nullable=False),
        sa.ForeignKeyConstraint(["camera_id"], ["camera.id"], name=op.f("fk_camera_mask_camera_id_camera")),
        sa.PrimaryKeyConstraint("camera_id", name=op.f("pk_camera_mask")),
    )


def downgrade() -> None:
    op.drop_table("camera_mask")
