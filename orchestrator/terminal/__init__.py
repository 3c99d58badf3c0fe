"""What a terminal shows: records as text and tables, a query's result in every format. Computes nothing."""
