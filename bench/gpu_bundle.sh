# shellcheck shell=bash disable=SC2154
# `bench/gpu.sh bundle`: sourced by it. What a bundle holds lies as in the repository, build/release included:
#
#   build/release     the program, the benchmarks and the tests, without symbols
#   lib               their libraries; lib/gcc: those of the compiler, for machines with older ones
#   openmpi           Open MPI's run-time without what other networks than TCP need
#   tests.tsv         the tests: name, seconds, command
#   root              where the repository was, for paths that are compiled into tests
#
# Not in it: glibc, for a driver of the other machine has to be loaded beside it, and a process has one glibc: the
# machine's must be as new as the one built with. Nor PoCL: with LLVM it would take 56 MB. A driver is the
# machine's own.
#
# Uses: root, fail().

# Of glibc, and the kernel's: they are the machine's own.
not_bundled='/(ld-linux[^/]*|lib(c|m|dl|rt|pthread|util|resolv|anl|mvec|nsl|BrokenLocale|nss_[a-z]*|thread_db))\.so[^/]*$'
of_the_compiler='/lib(stdc\+\+|gcc_s)\.so[^/]*$'
# Of Open MPI's plugins: other networks, other launchers, files, debuggers.
needless_plugins='mca_(.*(ofi|openib|psm|psm2|ucx|usnic|portals4|monitoring)|.*_(lsf|slurm|tm|flux|gridengine)|io_.*|fs_.*|fbtl_.*|fcoll_.*|sharedfp_.*|spml_.*|memheap_.*|scoll_.*|atomic_.*|sshmem_.*)\.so'

# The libraries that the files named on standard input need, one path a line.
libraries_of() {
  local needed missing
  needed=$(xargs ldd 2>/dev/null)
  missing=$(awk '/not found/ { print $1 }' <<<"$needed" | sort -u)
  [ -z "$missing" ] || fail "libraries were not found: $missing"
  awk '$2 == "=>" && $3 ~ /^\// { print $3 }' <<<"$needed" | sort -u
}

copy_programs() {
  local build=$1 to=$2 file
  (cd "$build" && find motley bench tests -name CMakeFiles -prune -o -type f \( -perm -u+x -o -name '*.so' \) -print) |
    while IFS= read -r file; do
      [ "$(head -c 4 "$build/$file" | tail -c 3)" = ELF ] || continue
      mkdir -p "$to/build/release/$(dirname "$file")"
      strip -o "$to/build/release/$file" "$build/$file"
    done
}

copy_openmpi() {
  local to=$1/openmpi plugins data name
  plugins=$(ompi_info --path pkglibdir --parsable | awk -F : '/^path:pkglibdir:/ && !n++ { print $3 }')
  data=$(ompi_info --path pkgdatadir --parsable | awk -F : '/^path:pkgdatadir:/ && !n++ { print $3 }')
  [ -d "$plugins" ] || fail "Open MPI's plugins were not found; install openmpi-bin"
  mkdir -p "$to/bin" "$to/lib/openmpi" "$to/etc" "$to/share"
  for name in mpirun orted; do strip -o "$to/bin/$name" "$(readlink -f "$(command -v $name)")"; done
  ln -s mpirun "$to/bin/mpiexec"
  find "$plugins" -name 'mca_*.so' | grep -Ev "/$needless_plugins\$" | xargs cp -t "$to/lib/openmpi"
  cp -rL "$data" "$to/share/openmpi"
  : >"$to/etc/openmpi-mca-params.conf"
}

copy_libraries() {
  local to=$1 libraries library folder
  mkdir -p "$to/lib/gcc"
  libraries=$(find "$to/build" "$to/openmpi" -type f \( -perm -u+x -o -name '*.so' \) | libraries_of)
  while IFS= read -r library; do
    [[ ! $library =~ $not_bundled ]] || continue
    folder=$to/lib
    [[ ! $library =~ $of_the_compiler ]] || folder=$to/lib/gcc
    strip -o "$folder/$(basename "$library")" "$(readlink -f "$library")"
  done <<<"$libraries"
}

# The text that is trained on: the Jargon File, which is in the public domain, or the licences that every Debian has.
# Tests read one of these, too.
copy_text() {
  local jargon=/usr/share/doc/jargon-text/jargon.txt.gz
  mkdir -p "$1/text"
  cp /usr/share/common-licenses/GPL-3 "$1/text/"
  if [ -r "$jargon" ]; then
    gzip -dc "$jargon" >"$1/text/corpus.txt"
  else
    cat /usr/share/common-licenses/GPL-[123] /usr/share/common-licenses/GFDL-1.[23] \
      /usr/share/common-licenses/Apache-2.0 >"$1/text/corpus.txt"
  fi
}

fill_bundle() {
  local build=$1 to=$2
  copy_programs "$build" "$to"
  copy_openmpi "$to"
  copy_libraries "$to"
  copy_text "$to"
  mkdir -p "$to/bench" "$to/tests"
  cp "$root"/bench/*.sh "$root"/bench/*.py "$to/bench/"
  cp -r "$root/tests/golden" "$to/tests/"
  (cd "$build" && ctest --show-only=json-v1) >"$to/tests.json" || fail "ctest cannot list the tests of '$build'"
  cmake -D JSON="$to/tests.json" -D BUILD="$build" -D OUT="$to/tests.tsv" -P "$root/bench/gpu_tests.cmake"
  rm "$to/tests.json"
  sed -n 's/^CMAKE_HOME_DIRECTORY:INTERNAL=//p' "$build/CMakeCache.txt" >"$to/root"
  {
    echo "commit  $(git -C "$root" describe --always --dirty --abbrev=12 2>/dev/null || echo unknown)"
    echo "glibc   $(getconf GNU_LIBC_VERSION | cut -d ' ' -f 2)"
    echo "mpi     $("$to/openmpi/bin/mpirun" --version 2>/dev/null | head -n 1)"
  } >"$to/BUILD"
}

make_bundle() {
  local build=$root/build/release out=$root/build/gpu-bundle.tar.xz staging
  while [ $# -gt 0 ]; do
    case "$1" in
      -o) [ $# -ge 2 ] || fail "-o needs a file or directory"; out=$2; shift 2 ;;
      -*) fail "unknown argument '$1'" ;;
      *) build=$1; shift ;;
    esac
  done
  build=$(cd "$build" 2>/dev/null && pwd) || fail "there is no build directory '$build'"
  local program
  for program in motley bench/probe bench/bench_train tests/tensor/device_test; do
    [ -x "$build/$program" ] ||
      fail "'$build/$program' was not found; build everything with -DMOTLEY_TESTS=ON -DMOTLEY_BENCH=ON first"
  done
  [ ! -d "$out" ] || [ -z "$(ls -A "$out")" ] || fail "'$out' is there and not empty; remove it, or name another"
  case "$out" in
    *.tar.*)
      staging=$(mktemp -d)
      # shellcheck disable=SC2064 # as it is now
      trap "rm -rf '$staging'" EXIT
      fill_bundle "$build" "$staging/motley-gpu"
      # By its last suffix tar knows how to compress.
      XZ_OPT=${XZ_OPT:--T0} tar -C "$staging" --auto-compress -cf "$staging/${out##*/}" motley-gpu
      mv "$staging/${out##*/}" "$out"
      ;;
    *)
      mkdir -p "$out"
      fill_bundle "$build" "$out"
      ;;
  esac
  echo "$out: $(du -sh "$out" | cut -f 1)"
}
