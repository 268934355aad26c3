"""Preparing and checking images."""
