"""Deep models as guests: trained in an environment of their own, they hand over arrays, and NumPy answers."""
