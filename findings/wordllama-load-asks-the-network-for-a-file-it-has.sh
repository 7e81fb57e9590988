#!/usr/bin/env bash
# wordllama's load() does not find the tokenizer that its own wheel brings, and asks the network for it.
#
# Seen with wordllama 0.4.0.post1 on Python 3.11: the wheel holds table and tokenizer (weights/l2_supercat_256.safetensors,
# tokenizers/l2_supercat_tokenizer_config.json), and WordLlama.load() of that very table looks for the tokenizer in a folder
# "tokenizer", without the s. With disable_download=True it raises FileNotFoundError; without, it downloads the file to the
# user's cache, so that a machine without a network has no embedding although all of it is installed. Besides, the import
# configures the root logger of the process, and lets INFO of every other library through.
# What to do: give both files to wordllama.inference.WordLlamaInference, or read them without the package.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3.11}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check wordllama==0.4.0.post1
HOME="$work" "$work/venv/bin/python" - <<'PY'
import logging
from pathlib import Path

from tokenizers import Tokenizer

before = logging.getLogger().level, len(logging.getLogger().handlers)
import wordllama
from wordllama.inference import WordLlamaInference

after = logging.getLogger().level, len(logging.getLogger().handlers)
print(f"wordllama {wordllama.__version__}: root logger, level and handlers, {before} before the import and {after} after it")
folder = Path(wordllama.__file__).parent
tokenizer = folder / "tokenizers" / "l2_supercat_tokenizer_config.json"
table = folder / "weights" / "l2_supercat_256.safetensors"
print(f"in the wheel: {tokenizer.name}, {tokenizer.stat().st_size} bytes; {table.name}, {table.stat().st_size} bytes")
try:
    wordllama.WordLlama.load(disable_download=True)
except FileNotFoundError as error:
    print(f"load: {error}")
    refused = True
else:
    refused = False
from safetensors import safe_open

with safe_open(table, "np") as file:
    given = WordLlamaInference(file.get_tensor("embedding.weight"), Tokenizer.from_file(str(tokenizer)))
print("with both files given:", given.embed("a text").shape)
assert refused and before == (logging.WARNING, 0) and after == (logging.INFO, 1), "the behaviour changed"
PY
