"""Commands about data and features."""
