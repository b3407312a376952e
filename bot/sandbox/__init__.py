"""A loopback GitHub, Google Cloud and Heroku that speak the wire format.

It imports nothing else of ``bot`` and nothing of ``bot`` imports it: one bug must never pass on both sides.
"""
