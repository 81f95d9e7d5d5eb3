"""What a network sees, and why it says so."""
