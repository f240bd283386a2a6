"""The local driver."""
