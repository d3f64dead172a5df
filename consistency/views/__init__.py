"""Pages of comparing, measuring, the bench and the loop."""
