"""What the package makes of every way in which a network, a proxy or the API can fail."""
