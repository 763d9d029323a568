"""Does the synthetic set serve every group alike?"""
