"""Served traffic: what servers showed, and what people did with it, as training data."""
