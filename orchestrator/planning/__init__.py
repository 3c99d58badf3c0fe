"""From a spec's TOML to a plan: what is to run, checked as a whole before anything starts."""
