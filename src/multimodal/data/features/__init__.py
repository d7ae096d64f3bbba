"""Columns of a group to the arrays that its encoder reads."""
