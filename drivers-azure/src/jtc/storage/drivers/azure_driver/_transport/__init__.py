"""Requests to Azure, signatures, and what answers mean."""
