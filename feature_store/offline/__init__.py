"""The offline store: feature values of any entity as of any moment."""
