"""Workers of the prediction and feature passes: processes of this machine, or of a Ray cluster."""
