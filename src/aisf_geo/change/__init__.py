"""Two or more epochs to transitions."""
