"""Raster to class map: spectral methods and networks behind one protocol."""
