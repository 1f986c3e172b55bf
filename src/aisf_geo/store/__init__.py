"""Values to bytes and back: the only place that writes outputs."""
