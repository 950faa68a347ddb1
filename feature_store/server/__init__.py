"""The Redis server that comes with us."""
