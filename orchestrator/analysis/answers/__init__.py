"""What the trials of a sweep say, section by section: what each statistic finds."""
