"""What the command line tools and users of the package call."""
