"""What a store says: numbers, plots and the page. Reads the store and nothing else; needs neither Ray nor torch."""
