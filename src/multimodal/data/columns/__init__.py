"""What a column holds: parsing of cells, inference of kinds, the schema."""
