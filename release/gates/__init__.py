"""What a release must show before it goes into Staging or Production."""
