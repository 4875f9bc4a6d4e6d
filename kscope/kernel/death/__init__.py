"""How the kernel died: panic, exception, faulting instruction, the reports in its log."""
