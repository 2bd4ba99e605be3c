"""Prints the region of the dynamic label in mycluster.yaml: one line, nothing else."""

import os

print(os.environ.get("AWS_REGION", "us-west-2"))
