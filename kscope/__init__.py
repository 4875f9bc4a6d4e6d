"""kscope: a terminal dashboard for Linux kernel crash dumps."""

__version__ = "0.1.0"
