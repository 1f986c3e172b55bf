"""Label maps to features."""
