"""Commands about releases: from a bundle to what is served, and back."""
