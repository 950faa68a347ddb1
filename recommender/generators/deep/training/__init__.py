"""What runs in a guest's environment: the only place that knows PyTorch."""
