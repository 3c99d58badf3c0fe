"""What the trials of a sweep say: which trials each statistic may use, and what it finds."""
