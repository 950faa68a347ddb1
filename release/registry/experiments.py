"""An experiment of MLflow by its name, made where it is missing."""

from __future__ import annotations

from contracts.home import Home
from release.registry.connection import RegistryConnection


def experiment_id(connection: RegistryConnection, home: Home, name: str) -> str:
    """Its id; the artefacts of a new one lie under SLATE_HOME unless a server keeps them."""
    with connection.speaking() as client:
        experiment = client.get_experiment_by_name(name)
        if experiment is not None:
            return str(experiment.experiment_id)
        location = None if connection.is_remote else (home.mlflow_artifacts / name).absolute().as_uri()
        return str(client.create_experiment(name, artifact_location=location))
