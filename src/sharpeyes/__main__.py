"""``python -m sharpeyes`` is the ``sharpeyes`` command."""

from sharpeyes.cli import main

main()
