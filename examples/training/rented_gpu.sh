#!/usr/bin/env bash
# Train on a machine that is rented by the quarter of an hour: data there, a slice of training, state back.
#
#   examples/training/rented_gpu.sh user@host recipe.toml 12m          over ssh
#   DEVICE=cpu examples/training/rented_gpu.sh local recipe.toml 1m    the same steps on this machine, as a trial
#
# Make the pairs here first (faceswap train RECIPE --prepare): the rented minutes are for the accelerator.
# Files of pairs stay below 64 MiB and go one by one, so a copy that broke off continues.  The same command
# continues the training.
set -euo pipefail
host=${1:?user@host or local}; recipe=${2:?recipe.toml}; limit=${3:-12m}; device=${DEVICE:-cuda}
name=$(basename "$recipe" .toml)
here=$(cd "$(dirname "$recipe")" && pwd)/runs/$name
there=faceswap-train/runs/$name
[ -f "$here/pool/table.npz" ] || { echo "no pool in $here; run: faceswap train $recipe --prepare" >&2; exit 2; }

if [ "$host" = local ]; then
    base=${TMPDIR:-/tmp}/rented-$name; mkdir -p "$base"
    on() { (cd "$base" && bash -c "$1"); }
else
    on() { ssh "$host" "$1"; }
fi
timed() { local start=$SECONDS; "$@"; echo "$1: $((SECONDS - start)) s"; }

send() {  # files that are not there yet
    on "mkdir -p $there" && on "cat > faceswap-train/$name.toml" < "$recipe"
    (cd "$here" && find . -type f ! -path './sheets/*') | while read -r file; do
        on "test -f '$there/$file' && test \$(wc -c < '$there/$file') = $(wc -c < "$here/$file")" < /dev/null ||
            on "mkdir -p '$there/$(dirname "$file")' && cat > '$there/$file'" < "$here/$file"
    done
}
train() { on "cd faceswap-train && faceswap train $name.toml --device $device --max-time $limit"; }
fetch() { on "cd $there && tar -cf - --exclude ./pool --exclude ./pairs ." | tar -xf - -C "$here"; }

[ "$host" = local ] || timed on "python3 -m pip install --quiet faceswap-cli"
timed send
timed train || echo "stopped early; what was saved comes back" >&2
timed fetch
echo "state, weights and figures are in $here"
