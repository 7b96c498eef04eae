"""One module for each capability of an environment; each is discovered by its `SERVICE`."""
