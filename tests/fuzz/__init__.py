"""Responses that no server should give, and what the package makes of them."""
