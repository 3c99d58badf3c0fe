"""Keeping a store sound: compacting it, finding what is damaged, mending it."""
