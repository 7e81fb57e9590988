"""From the profile to a premodel: profile -> training -> bundle."""
