"""Networks: built from their records, timm in one place, and those of the paper that no library has."""
