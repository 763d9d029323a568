"""Does the synthetic set tell who was in the cohort?"""
