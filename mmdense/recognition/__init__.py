"""Recognition with millions of identities; builds on mmpretrain."""
