"""When? Schedules, order, arguments and runbooks. Nothing of ours is imported here, and nothing runs at import."""
