"""The page of a sweep: its plots, tables and words."""
