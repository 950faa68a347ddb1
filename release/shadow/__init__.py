"""Recent requests answered by the release in production and by a candidate, and how the answers differ."""
