"""How one trial trains. Knows nothing of Ray, Optuna or the store."""
