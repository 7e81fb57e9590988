"""The paper's study, run again on a profile of one's own: every table and figure beside the paper's own numbers."""
