"""Models on several windows of time: what parameters are chosen on. No stage; `slate judge` runs it."""
