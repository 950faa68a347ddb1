"""In what steps? One module per stage of dvc.yaml: read paths, call the rooms, write artefacts."""
