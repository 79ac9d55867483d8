"""Requests and responses: what is refused, and what is read."""
