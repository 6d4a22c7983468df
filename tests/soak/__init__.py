"""Hours of trouble in minutes: both instances of ten venues under a seeded schedule of faults, and every payload accounted for."""
