"""Source `files`: a team's own export, read as the mapping in params.yaml says."""
