"""crash command lines: taken apart, answered by kscope or by drgn's crash mode, and piped."""
