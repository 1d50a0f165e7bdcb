"""Bytes to values and back, without I/O and without a clock: what the network says, however badly."""
