"""The lab: makes real kernel dumps with known contents, from Debian's packages, under QEMU."""
