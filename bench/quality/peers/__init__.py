"""Other people's recommenders, each in an environment and a process of its own; nothing of ours is imported here."""
