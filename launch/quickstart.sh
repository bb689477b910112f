#!/usr/bin/env bash
# From a fresh Debian 12 to a trained language model and a sample of its text, in under ten minutes on two
# cores: installs packages, builds, makes a tokenizer and a data set, trains a Llama-style model of 10 M
# parameters on two ranks, prints a sample and the commands it used. Run again, it skips what is done; a directory
# that was made of another text is refused.
#
#   launch/quickstart.sh [--corpus FILE] [--minutes 3] [--ranks 2] [--dir runs/quickstart]
set -euo pipefail
cd "$(dirname "$0")/.."
. launch/packages.sh

corpus='' minutes=3 ranks=2 dir=runs/quickstart
usage() {
  sed -n '2,8s/^# \{0,1\}//p' "$0"
}
while [ $# -gt 0 ]; do
  case "$1" in
    --corpus | --minutes | --ranks | --dir)
      [ $# -ge 2 ] || { echo "error: $1 needs a value" >&2; exit 2; }
      declare "${1#--}=$2"
      shift 2
      ;;
    --help | -h) usage; exit 0 ;;
    *) echo "error: unknown argument '$1'; see $0 --help" >&2; exit 2 ;;
  esac
done
if [ -n "$corpus" ] && { ! [ -f "$corpus" ] || ! [ -r "$corpus" ]; }; then
  echo "error: cannot read the corpus '$corpus'" >&2
  exit 4
fi

started=$SECONDS
install_build_packages

echo "== building"
[ -f build/release/build.ninja ] || cmake --preset release -DMOTLEY_TESTS=OFF -DMOTLEY_BENCH=OFF >/dev/null
cmake --build --preset release --target motley_program | tail -n 1
motley=build/release/motley
mkdir -p "$dir"

# The Jargon File is in the public domain. Some container images leave out /usr/share/doc; then the text is
# taken from the package itself.
fetch_jargon() {
  local installed=/usr/share/doc/jargon-text/jargon.txt.gz unpacked
  install_packages jargon-text
  if [ ! -r "$installed" ]; then
    unpacked=$(mktemp -d)
    (cd "$unpacked" && apt-get download -qq jargon-text && dpkg-deb -x ./*.deb .)
    installed=$unpacked$installed
  fi
  gzip -dc "$installed" >"$1.part"
  mv "$1.part" "$1"
  [ -z "${unpacked:-}" ] || rm -rf "$unpacked"
}

if [ -z "$corpus" ]; then
  corpus=$dir/corpus.txt
  [ -f "$corpus" ] || fetch_jargon "$corpus"
fi

# What is made is made of one text. Refuses a directory that was made of another, or of an unknown one.
check_corpus() {
  local record=$dir/corpus.sha256 hash known='an unknown text'
  hash=$(sha256sum <"$corpus") hash=${hash%% *}
  if [ -f "$record" ]; then
    [ "$(head -n 1 "$record")" = "$hash" ] && return
    known=$(sed -n 2p "$record")
  elif ! [ -e "$dir/tokenizer.json" ] && ! [ -e "$dir/data" ] && ! [ -e "$dir/run" ]; then
    printf '%s\n%s\n' "$hash" "$(realpath "$corpus")" >"$record.part"
    mv "$record.part" "$record"
    return
  fi
  echo "error: $dir was made of $known, and $corpus is another text; name another --dir, or remove $dir" >&2
  exit 2
}

commands=()
# Runs a command that makes a file or directory, unless it is there, and remembers it.
make_once() {
  local product=$1
  shift
  commands+=("$*")
  [ -e "$product" ] && return
  echo "== $*"
  "$@"
}

check_corpus
allow_mpi_as_root
make_once "$dir/tokenizer.json" "$motley" tokenizer train --vocab 4096 -o "$dir/tokenizer.json" "$corpus"
make_once "$dir/data" "$motley" data prepare --tokenizer "$dir/tokenizer.json" --val 5% -o "$dir/data" "$corpus"
if [ -d "$dir/run" ] && [ -z "$(ls "$dir/run/ckpt" 2>/dev/null)" ]; then
  rm -rf "$dir/run" # a run that was stopped before its first checkpoint
fi
make_once "$dir/run" mpirun -n "$ranks" --bind-to none --oversubscribe "$motley" train \
  --model.preset llama-10m --data.path "$dir/data" --train.run "$dir/run" --train.minutes "$minutes" \
  --train.micro_batch 4 --train.global_batch 2048 --train.eval_every 50 \
  --optim.lr 2e-3 --optim.warmup 20
echo "== a sample"
commands+=("$motley sample $dir/run --prompt 'The hacker' --tokens 120")
"$motley" sample "$dir/run" --prompt 'The hacker' --tokens 120

echo
echo "== done in $((SECONDS - started)) s; the same by hand:"
printf '  %s\n' "${commands[@]}"
