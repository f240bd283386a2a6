"""Requests to Google: their credentials, signatures and errors."""
