"""How the program ends. README.md says what each means."""

EXIT_WHOLE = 0
EXIT_UNEXPECTED = 1
EXIT_USAGE = 2
EXIT_PROBLEMS = 3
EXIT_STOPPED = 4
EXIT_ENVIRONMENT = 5
EXIT_BUSY = 75  # EX_TEMPFAIL of sysexits.h: try again later
