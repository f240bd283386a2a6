"""What the driver does with objects."""
