"""`python -m parallel_integrations`: the command line."""

from parallel_integrations._cli.commands import main

main()
