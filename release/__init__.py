"""What may be served, and what does it answer? The bundle, the request path, the registry, promotion."""
