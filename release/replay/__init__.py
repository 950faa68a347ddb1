"""Logged requests answered again as they were, and everything about one answer."""
