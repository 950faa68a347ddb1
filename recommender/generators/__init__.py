"""Candidate generators: each proposes items for a person, all behind the promise in base.py."""
