"""Image files, their degradation and their comparison."""
