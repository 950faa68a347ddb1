"""The HTTP API: routes, shapes, processes."""
