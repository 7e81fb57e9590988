"""On the device: image -> features -> selection -> model -> answer. Needs numpy, OpenCV and one inference runtime."""
