"""Who answers requests? The HTTP API, what is served now, the event log, slates for everybody."""
