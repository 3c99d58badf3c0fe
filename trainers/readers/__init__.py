"""Layouts of encoded images on disk and in object stores: what is there, and the bytes of it."""
