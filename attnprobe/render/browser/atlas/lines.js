// An example with lines from queries to keys.
