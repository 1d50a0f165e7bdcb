"""For every test: properties are judged by what they show, not by how fast this machine shows it."""

from __future__ import annotations

# The ONVIF library needs it, and it keeps a warning about itself from being one while it is imported: that
# must not happen in a thread of a service while pytest makes warnings errors, for every test after it.
import requests  # noqa: F401
from hypothesis import HealthCheck, settings

# The same examples for the same code: a change is refused for what it does alone. `make fuzz` looks further.
settings.register_profile(
    "same", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "fuzz", deadline=None, derandomize=False, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("same")
