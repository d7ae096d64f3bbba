"""Columns: parsing of cells, inference of kinds, the schema."""
