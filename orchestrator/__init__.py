"""Who runs a sweep, remembers it and explains it. Imports nothing, so that reading a store stays fast."""
