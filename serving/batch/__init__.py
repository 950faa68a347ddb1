"""Slates for everybody: the request path over a whole generation, into Parquet files."""
