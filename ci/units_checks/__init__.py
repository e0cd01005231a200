"""The subjects of ci/units; each has run(verdict, work)."""
