"""HTTP: the API under ``/api/v1``, health and metrics. Routes translate; they decide nothing."""
