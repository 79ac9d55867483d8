"""Flow, retry, events, error mapping, settings, without I/O where that is possible."""
