"""One run of a sweep: which trial is next, who trains it, and what follows from how it ended."""
