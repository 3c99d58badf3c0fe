"""Results from elsewhere: a CSV file, proven as a whole and stored as a sweep."""
