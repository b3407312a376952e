"""Brings the world to a plan."""
