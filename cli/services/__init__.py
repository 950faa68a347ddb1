"""`slate up`, `down`, `status`: the services on this machine."""
