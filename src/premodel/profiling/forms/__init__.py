"""The forms of a labelled data set, one file each."""
