"""`python -m precisionflow`: like the command, it imports nothing from the current folder."""

import sys


def start() -> None:
    """Take the current folder, which `-m` puts first, off the path; then run the command."""
    if not sys.flags.safe_path:
        del sys.path[0]
    from precisionflow.cli import entry

    entry()


start()
