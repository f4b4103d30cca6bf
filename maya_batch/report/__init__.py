"""The report of a run: report.json for programs and report.html for people, in the folder of the chapters."""
