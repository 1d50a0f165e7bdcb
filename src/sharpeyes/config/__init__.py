"""Settings of the service, and ``configs/cameras.yaml``, read into frozen values."""

from sharpeyes.config.cameras import Config, Site, load
from sharpeyes.config.document import ConfigErrors
from sharpeyes.config.settings import Settings

__all__ = ["Config", "ConfigErrors", "Settings", "Site", "load"]
