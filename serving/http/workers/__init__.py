"""The processes of a server that answer on one socket: started, kept going, counted together, taking turns."""
