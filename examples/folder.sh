#!/bin/sh
# Swaps one person into every clip and picture of a folder, in one process, and lists what did not work.
#
#     examples/folder.sh PHOTO FOLDER OUT [more options of 'faceswap batch']
#
# What fails because no face was found gets a second try with smaller faces. Run the same line after an
# interruption to go on. FACESWAP names the program when it is not on the PATH.
set -u

if [ $# -lt 3 ]; then
  echo "usage: $0 PHOTO FOLDER OUT [options]" >&2
  exit 2
fi
photo=$1 folder=$2 out=$3
shift 3
faceswap=${FACESWAP:-faceswap}
told=$(mktemp) || exit 5
trap 'rm -f "$told"' EXIT

code=0
"$faceswap" batch "$photo" "$folder" -o "$out" --skip-existing --json "$@" >"$told" || code=$?
if [ "$code" -eq 8 ] && grep -q '"code": "no-face"' "$told"; then
  echo "once more, for smaller faces" >&2
  code=0
  "$faceswap" batch "$photo" "$folder" -o "$out" --skip-existing --min-face 12 --json "$@" >"$told" || code=$?
fi

# One line for each file that has no result: its name, a tab, the reason.
"${PYTHON:-python3}" -c '
import json, sys
for row in json.load(open(sys.argv[1])).get("rows", ()):
    if row["error"]:
        print(row["target"], row["error"]["message"], sep="\t")
' "$told"
exit "$code"
