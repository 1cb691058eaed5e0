"""`python -m softcam` is the `softcam` command."""

from softcam.cli import main

main()
