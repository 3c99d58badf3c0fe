"""The trials of a sweep: read from the store, chosen by role, and laid out as the tables that statistics take."""
