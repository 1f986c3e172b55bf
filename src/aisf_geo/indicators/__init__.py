"""Maps and zones to numbers with intervals. Pure: no files, no clock, no environment."""
