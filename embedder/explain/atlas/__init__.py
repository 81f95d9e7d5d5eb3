"""What each of the 128 channels goes with: measured on photos of many people, and told without any of them."""
