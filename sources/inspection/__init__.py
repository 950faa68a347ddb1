"""Looks at files that are not mapped yet, and proposes a mapping."""
