"""Which words do all rooms share? Tables, ids, settings, errors, whole files. Imports nothing of ours."""
