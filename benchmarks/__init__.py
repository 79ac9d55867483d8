"""What the package costs on top of plain HTTP, as ratios measured in one run."""
