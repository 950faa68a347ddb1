"""Parameters searched on rolling windows, and chosen by the rule that every default is chosen by. No stage."""
