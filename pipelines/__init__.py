"""In what steps? One module per stage of dvc.yaml, which reads paths, calls the rooms and writes artefacts."""
