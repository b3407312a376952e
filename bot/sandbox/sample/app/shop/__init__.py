"""A small shop: products, their stock, and orders."""
