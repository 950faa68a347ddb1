"""What servers showed and people did, on its way back into training."""
