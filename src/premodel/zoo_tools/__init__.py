"""Commands on manifests: draft, check and download."""
