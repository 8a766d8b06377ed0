package postgres

// RepeatLatest is the statement of Repeat.
const RepeatLatest = repeatLatest
