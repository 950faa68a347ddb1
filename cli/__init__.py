"""How do I say it? The slate command line: parse, one call, print."""
