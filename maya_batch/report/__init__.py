"""The report of a run, in the folder of the chapters: report.json for programs, report.html for people."""
