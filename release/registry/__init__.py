"""The model registry (MLflow): versions, stages, aliases, and the requests that people make by changing them."""

import os

# MLflow reads it as it is imported, by whichever module of this room that is; whoever wants to send it says "false".
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
