"""What Holdfast costs over the plain tools, as ratios within one run. Never part of the test run."""
