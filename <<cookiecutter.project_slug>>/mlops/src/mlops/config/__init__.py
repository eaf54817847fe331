"""params.yaml, typed: one module a section. What is wrong there is one line a mistake."""
