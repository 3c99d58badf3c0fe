"""What runs in a Ray worker: one attempt of a trial after another, and what they leave for the next."""
