"""GitHub, as the bot uses it."""
