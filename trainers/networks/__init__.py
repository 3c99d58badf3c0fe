"""Networks of the paper that no library has, one module each, written from their papers."""
