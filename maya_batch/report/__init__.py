"""What a night came to: report.json for programs and report.html for a person, beside the chapters."""
