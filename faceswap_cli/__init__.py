"""Face swapping for video people: the identity of the source, everything else from the target."""

__version__ = "0.1.0"
