"""What was asked, decided, switched and written back, when and why."""
