"""What the words beside the images (label, sex, age group, site) tell about people."""
