"""Opening what is to be debugged: a vmcore, the live kernel, a QEMU guest; and its debug info."""
