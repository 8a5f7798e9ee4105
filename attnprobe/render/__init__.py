"""Numbers -> figures, pages and tables to look at."""
