"""The field: systems on one footing, their papers' claims, and what each costs."""
