"""The read-only surface for analysts: standards API, tiles and the map page over the published outputs of runs."""
