"""A team's own table -> its problem, params and words, as a start that a person edits."""
