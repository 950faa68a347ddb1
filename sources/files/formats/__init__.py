"""One reader for each format of data files; each yields batches of rows as text."""
