"""Facts as text, CSV and JSON; reporters take facts, never files."""
