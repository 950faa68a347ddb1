"""Files nobody has seen, and the mapping proposed for them."""
