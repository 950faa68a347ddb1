"""The online store in Redis: connection, keys, packing, the pointer, recent events, streams."""
