"""The s3 driver."""
