"""Images: decoding, preprocessing, views and features."""
