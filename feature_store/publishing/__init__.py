"""Writing a generation into the online store, and taking old ones out."""
