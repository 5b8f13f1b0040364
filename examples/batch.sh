#!/bin/sh
# Swaps one person into every clip of a folder, and shows what the exit codes are good for.
#
#     examples/batch.sh PHOTO FOLDER OUT
#
# A clip that is done is not done again: run the same line after an interruption to go on.
# FACESWAP names the program when it is not on the PATH, e.g. FACESWAP=.venv/bin/faceswap.
set -u

if [ $# -ne 3 ]; then
  echo "usage: $0 PHOTO FOLDER OUT" >&2
  exit 2
fi
photo=$1 folder=$2 out=$3
faceswap=${FACESWAP:-faceswap}
mkdir -p -- "$out" || exit 5

done=0 without=0 failed=0
for clip in "$folder"/*.mp4 "$folder"/*.mov "$folder"/*.mkv "$folder"/*.webm; do
  [ -e "$clip" ] || continue
  name=$(basename -- "$clip")
  code=0
  "$faceswap" video "$photo" "$clip" -o "$out/$name" --skip-existing --progress plain </dev/null || code=$?
  case $code in
    0) done=$((done + 1)) ;;
    3) without=$((without + 1)) ;;            # nobody to swap in this clip: not a failure
    2 | 6 | 7 | 9)                            # usage, weights, device, terms: the next clip would end the same way
      echo "stopped at $name with code $code" >&2
      exit "$code" ;;
    130 | 143)                                # interrupted: what is finished stays, the same line goes on from here
      echo "interrupted at $name" >&2
      exit "$code" ;;
    *)                                        # unreadable input, full disk, a bug: note it and go on
      failed=$((failed + 1))
      echo "failed: $name with code $code" >&2 ;;
  esac
done

echo "$done done, $without without a face, $failed failed" >&2
[ "$failed" -eq 0 ] || exit 8
