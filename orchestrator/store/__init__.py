"""The store: Parquet tables that are the only truth about a sweep. Needs neither Ray nor torch."""
