"""In what words? Names, id types, settings and errors that every room shares. Imports nothing of ours."""
