"""Virtual cameras with faults on command, on which the demo, the benches and the canaries stand."""
