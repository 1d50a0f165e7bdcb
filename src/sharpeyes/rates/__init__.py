"""How much of the time that cameras were obliged to deliver, they did: intervals, rates, queries."""
