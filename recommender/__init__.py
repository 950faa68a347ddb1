"""What should be shown? Candidates, ranking, metrics: arrays and tables in, arrays and tables out."""
