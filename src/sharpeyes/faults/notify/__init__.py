"""Saying it to people: who is told what and when, in which words, over which channel, at least once."""
