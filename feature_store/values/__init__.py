"""Feature values as files and tables: rows, histories, and the generation they make."""
