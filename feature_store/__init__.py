"""What do we know, as of when? Feature views, the point-in-time join, the online store."""
