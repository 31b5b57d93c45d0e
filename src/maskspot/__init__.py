"""maskspot: how likely is it that this image shows at least one face mask?"""

from maskspot._version import __version__

__all__ = ["__version__"]
