"""params.yaml as frozen, typed settings, a module for each group of parameters."""
