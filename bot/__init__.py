"""Slipway: a release bot for teams on Cloud Run and Heroku."""
