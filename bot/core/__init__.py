"""What a release is and may do: pure values and decisions."""
