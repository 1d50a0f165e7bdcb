"""``sharpeyes discover``."""


def discover() -> None:
    """To be written."""
