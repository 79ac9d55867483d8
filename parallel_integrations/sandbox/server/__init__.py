"""The HTTP server: the application, its faults, and the socket it listens on."""
