"""Connections, cache, in-flight requests, usage: against real servers on loopback."""
