"""Runs: a git worktree each, the steps in it, and what a run leaves behind."""
