"""The dialects, one a package, and what they share. No state and no rule of the service lives here."""
