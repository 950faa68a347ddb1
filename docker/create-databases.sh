#!/bin/sh
# Run once by the Postgres image, on an empty volume: a database each for Airflow and MLflow.
set -eu
for name in airflow mlflow; do
    createdb --username "$POSTGRES_USER" "$name"
done
