"""How fast, how good? Benchmarks against limits and peers; each prints a table and, last, one JSON line."""
