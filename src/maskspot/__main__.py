"""`python -m maskspot`."""

from maskspot.cli import main

main()
