"""MovieLens in every layout it is published in."""
