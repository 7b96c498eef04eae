"""A service that this project does not have: one module, and its component beside it."""
