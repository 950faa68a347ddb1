"""Recent requests answered by the release in production and by a release candidate, and how the answers differ."""
