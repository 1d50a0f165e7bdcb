"""SharpEyes: finds a city's cameras, checks what each delivers, and publishes online rates."""

__version__ = "0.1.0"
