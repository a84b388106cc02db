"""The logs of servers and of the runner: rotated, sized, purged, shipped, and proven not to be altered."""
