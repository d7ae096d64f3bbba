"""`python -m multimodal`: the command line."""

from multimodal.cli import main

main()
