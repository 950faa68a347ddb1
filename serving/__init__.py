"""Who asks? The HTTP API and the event log."""
