"""What every reader hands over: canonical tables, where their rows came from, and what could not be read."""
