"""The command line: a file a verb, which parses, calls the library and hands to a reporter."""
