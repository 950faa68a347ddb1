"""What reads features for the request path: from Redis, from tables in memory, or nothing but defaults."""
