"""The protocol without I/O: flow, retry, rendering, routes, response reading, events."""
