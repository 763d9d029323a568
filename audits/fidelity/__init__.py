"""Does the synthetic set look like the cohort?"""
