"""``sharpeyes probe``."""


def probe() -> None:
    """To be written."""
