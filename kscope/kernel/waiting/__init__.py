"""What a blocked task waits for and who holds it."""
