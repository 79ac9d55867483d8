"""The I/O: driver, call state, connection pool, cache, in-flight requests, usage."""
