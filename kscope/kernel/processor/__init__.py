"""What belongs to one CPU: its stacks and registers, queues, timers, watchdogs."""
