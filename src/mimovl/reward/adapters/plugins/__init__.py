"""Files that trainers load by path; in a folder of their own, which ms-swift puts before all others to import from."""
