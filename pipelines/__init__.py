"""In what steps? One module per stage of dvc.yaml, which reads paths, calls the rooms and writes artefacts."""

import os

# Before numpy is imported, which reads it then. OpenBLAS cuts a sum by its number of threads, so that another machine
# would write other bytes; and for matrices as small as a query's, its threads only wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
