"""The model registry (MLflow): versions, stages, aliases, and the requests that people make by changing them."""
