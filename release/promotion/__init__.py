"""From a request to what is served: the decision, the switch, rollback, refresh, Staging and the canary."""
