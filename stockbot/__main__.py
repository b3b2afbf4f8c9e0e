"""`python -m stockbot` is `stockbot-hp`."""

from stockbot.cli import main

main()
