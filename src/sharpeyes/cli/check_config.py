"""``sharpeyes check-config``."""


def check_config() -> None:
    """To be written."""
