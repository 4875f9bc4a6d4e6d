"""What a user types for a thing in the kernel, evaluated."""
