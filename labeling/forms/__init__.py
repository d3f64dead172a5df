"""What people type, in Django forms: shape here, rules in the acts."""
