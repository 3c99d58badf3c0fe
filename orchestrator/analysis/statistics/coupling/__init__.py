"""How much of a table is interaction of backbone and optimizer, what it looks like, and what tuning leaves of it."""
