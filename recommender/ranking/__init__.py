"""The ranker: its input, its training rows, its model."""
