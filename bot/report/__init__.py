"""What people read: outcomes rendered as Markdown. Pure."""
