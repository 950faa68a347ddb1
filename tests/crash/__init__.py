"""Kill and resume, a thousand times: publish, switch, refresh, rollback and collection under readers."""
