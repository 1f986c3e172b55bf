"""The world to rasters: catalogues, scenes and windowed reads."""
