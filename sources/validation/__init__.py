"""The rules of the canonical tables, and what breaks them."""
