"""The monitor watches itself: canaries, and times in which it could not see."""
