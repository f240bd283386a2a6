"""What the driver does with objects, one file an operation."""
