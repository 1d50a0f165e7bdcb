"""Is a camera alive: probes, and the judgement of what they found."""
