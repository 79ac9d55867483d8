"""What the package makes of every failure of a network, a proxy or the API."""
