"""The registry: which cameras there are, whose they are, where they stand and how they are numbered."""
