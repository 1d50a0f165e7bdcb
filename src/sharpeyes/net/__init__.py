"""Sockets without decisions: they carry the bytes of the wire room and name what broke."""
