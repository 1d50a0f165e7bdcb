"""Reports: what a day, a week or a month came to, as a document that can be checked later."""
