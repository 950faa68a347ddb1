"""How a request is answered: the one path from a request to a slate."""
