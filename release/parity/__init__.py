"""Whether the values that answers stood on are the values computed offline."""
