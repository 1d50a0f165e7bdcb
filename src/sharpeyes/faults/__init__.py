"""Faults closed in a loop: causes found, tickets raised, routed, verified by a probe, and said to people."""
