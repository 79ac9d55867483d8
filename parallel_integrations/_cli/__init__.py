"""Command line: `parallel-integrations`."""
