"""Enrol: find devices, ask them what they are, compare with the registry."""
