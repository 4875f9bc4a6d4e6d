"""Objects in memory: their values and meanings, what pointers point at, the ways through lists."""
