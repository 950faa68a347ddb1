"""One file a version. What a released version did is never edited: a change is a new version."""
