"""What a release is on disk: the bundle, its manifest and its parts, and where this machine keeps them."""
