"""What to run for a cohort and a budget, from public numbers and the recorded benchmark."""
