#!/bin/sh
# Run once by the Postgres image, on an empty volume: a database each for Airflow, the journal and MLflow.
set -eu
for name in airflow journal mlflow; do
    createdb --username "$POSTGRES_USER" "$name"
done
