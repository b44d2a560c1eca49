"""`python -m precisionflow`."""

from precisionflow.cli import main

main()
