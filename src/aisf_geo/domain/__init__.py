"""Values every stage shares: frozen, small, free of input and output."""
