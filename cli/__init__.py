"""What do I type? The slate command line: parse, one call, print."""
