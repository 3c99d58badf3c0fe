"""Statistics on arrays and nothing else: usable in a notebook without a store, Ray or torch."""
