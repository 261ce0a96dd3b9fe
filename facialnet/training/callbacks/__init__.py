"""What watches a run: pictures, tables, speed, and a clean stop."""
