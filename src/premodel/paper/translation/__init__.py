"""Experiments of the study of translation, the follow-up of the paper."""
