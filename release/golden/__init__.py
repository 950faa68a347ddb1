"""Golden queries: requests that travel with a release, and the answers expected."""
