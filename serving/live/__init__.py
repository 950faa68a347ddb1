"""What is served right now, and how a server follows the pointer."""
