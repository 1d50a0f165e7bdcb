"""SharpEyes: finds a city's cameras, checks what each delivers, and publishes online rates."""

import os

__version__ = "0.1.0"

os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(1 << 26))
# A picture file of a few kilobytes may unfold to gigabytes. OpenCV reads its limit once, when it is loaded.
