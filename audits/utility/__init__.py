"""Can one learn from the synthetic set what one learns from the cohort?"""
