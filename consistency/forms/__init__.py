"""Forms of this app: shape and words; what is right is said by the acts."""
