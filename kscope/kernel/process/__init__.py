"""What belongs to tasks: the table of all, and the parts of one."""
