"""In what steps? One module per stage of dvc.yaml, which reads paths, calls the rooms and writes artefacts."""

from contracts.arithmetic import settle_arithmetic

settle_arithmetic()  # before a stage imports numpy
