"""The operations, against the sandbox and scripted responses."""
