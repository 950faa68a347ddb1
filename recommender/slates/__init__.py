"""From ranked candidates to a slate: diversity, exploration, reasons."""
