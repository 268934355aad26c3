"""CSNLN."""
