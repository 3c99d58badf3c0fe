"""How far results depend on seed, setting and corrupted images, how often trials diverge, and what layers show."""
