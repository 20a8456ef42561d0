"""``python -m ablate.cli``: the same as the console script ``ablate``."""

from ablate.cli import main

main()
