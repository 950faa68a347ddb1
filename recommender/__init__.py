"""What should be shown? Candidates, ranking, metrics: arrays and tables in, arrays and tables out."""

import os

# Before FAISS, LightGBM and implicit load OpenMP: its threads must not spin while they wait. On a busy machine they
# take the core from the thread that they wait for, and learning on two cores takes several times as long as on one.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
