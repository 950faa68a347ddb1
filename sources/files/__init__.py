"""Source `files`: reads a team's own export by the mapping in params.yaml."""
