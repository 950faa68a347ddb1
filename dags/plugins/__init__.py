"""What Airflow is told beside the DAGs: the link on a task, and the page behind it."""
