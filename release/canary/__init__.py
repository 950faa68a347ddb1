"""What a canary's events say: sums, statistics, the guard, the report."""
