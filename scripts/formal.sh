#!/usr/bin/env bash
# Explores the model of the braid (formal/): the machine as it is, which must hold, then its mutants, which must be caught.
# Usage: scripts/formal.sh [epochs]; 3 by default. Exits 1 on a failed check, 2 where spin or gcc is missing.
set -euo pipefail

epochs=${1:-3}
[[ $epochs =~ ^[2-4]$ ]] || { echo "usage: $0 [epochs, 2 to 4]" >&2; exit 2; }
model=$(cd "$(dirname "$0")/../formal" && pwd)/braid.pml
memory_mb=4000

if ! command -v spin >/dev/null || ! command -v gcc >/dev/null; then
  echo 'The model checker is missing. On Debian or Ubuntu: apt-get install spin gcc' >&2
  exit 2
fi

build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
cd "$build"
failures=0

# The pieces hdr, ct1, ek, ct2 in chunks, as the profiles cut them.
chunks_1221='-DN_HDR=1 -DN_CT1=2 -DN_EK=2 -DN_CT2=1'
chunks_1331='-DN_HDR=1 -DN_CT1=3 -DN_EK=3 -DN_CT2=1 -DINDICES=4'
chunks_2222='-DN_HDR=2 -DN_CT1=2 -DN_EK=2 -DN_CT2=2'
chunks_1111='-DN_HDR=1 -DN_CT1=1 -DN_EK=1 -DN_CT2=1'

# explore <spin options> <gcc options>: fills `out`, `states`, `depth`, `megabytes` and `seconds`; trail is in the build folder.
explore() {
  rm -f ./*.trail
  # shellcheck disable=SC2086
  spin $1 -a "$model" && gcc -O2 -w -DSAFETY -DMEMLIM=$memory_mb $2 -o pan pan.c
  out=$(./pan -m2000000 -w24 2>&1 || true)
  states=$(awk '/states, stored/ { print $1; exit }' <<<"$out")
  depth=$(sed -n 's/.*depth reached \([0-9]*\).*/\1/p' <<<"$out")
  megabytes=$(awk '/total actual memory/ { printf "%.0f", $1 }' <<<"$out")
  seconds=$(awk '/^pan: elapsed time/ { print $4 }' <<<"$out")
}

line() { printf '%-58s %10s %7s %6s %7s  %s\n' "$@"; }

# holds <name> <spin options>: the whole state space is explored and no assertion fails.
holds() {
  local result='holds'
  explore "$2 -DROWS" ''
  if ! grep -q 'errors: 0' <<<"$out" || grep -qE 'too small|out of memory|Search not completed' <<<"$out"; then
    result='FAILS'
    failures=$((failures + 1))
    grep -E 'pan:|error' <<<"$out" >&2 || true
  fi
  grep '^row ' <<<"$out" >>rows || true
  line "$1" "$states" "$depth" "$megabytes" "$seconds" "$result"
}

# caught <mutant> <name> <assertion> <spin options>: the shortest run to a failed assertion ends at the one that is named.
caught() {
  local options="-DMUTANT=$1 -DEPOCHS=2 $4" at='' result
  explore "$options" -DBFS
  # shellcheck disable=SC2086
  [[ -f braid.pml.trail ]] && at=$(timeout 60 spin $options -k braid.pml.trail -t "$model" 2>&1 | sed -n 's/.*braid.pml:\([0-9]*\), Error: assertion.*/\1/p' | head -1)
  result=$([[ -n $at ]] && sed -n "${at}s/.*\[\([A-Z0-9]*\)\].*/\1/p" "$model" || true)
  if [[ $result == "$3" ]]; then
    result="caught by $3"
  else
    result="NOT CAUGHT by $3${result:+ but by $result}"
    failures=$((failures + 1))
  fi
  line "mutant $1: $2" "$states" "$depth" "$megabytes" "$seconds" "$result"
}

line "run" states depth MB s result
holds "$epochs epochs, chunks 1 2 2 1 (as c=192)" "-DEPOCHS=$epochs $chunks_1221"
holds "$epochs epochs, chunks 1 3 3 1 (as c=192)" "-DEPOCHS=$epochs $chunks_1331"
holds "$epochs epochs, chunks 2 2 2 2 (as c=32)" "-DEPOCHS=$epochs $chunks_2222"
holds "$epochs epochs, chunks 1 1 1 1 (c=1152)" "-DEPOCHS=$epochs $chunks_1111"
holds "2 epochs, chunks 1 2 2 1, 3 messages in flight" "-DEPOCHS=2 -DSLOTS=3 $chunks_1221"

caught 1 'EkCt1Ack acknowledges nothing' RECOVERY "$chunks_1221"
caught 2 'message key of the newest chain' CHAIN "$chunks_1221"
caught 3 'completion not tested on the first add' RECOVERY "$chunks_1221"
caught 4 'FIN stays in the epoch' LEGAL "$chunks_1221"
caught 5 'Ct2Sampled ignores the next epoch' RECOVERY "$chunks_1221"
caught 6 'Ct2Sampled ends its epoch on an acknowledgement' CHAIN "$chunks_1221"
caught 7 'every chunk of ct1 of a new encapsulation' CT1 "$chunks_1221"
caught 7 'the same, ct1 in one chunk' KEYS "$chunks_1111"
caught 8 'earlier epoch taken for this one' LEGAL "$chunks_1221"
caught 9 'every header chunk of a new key pair' EK "$chunks_1221"
caught 10 'key emitted with ct2 once more' ORDER "$chunks_1221"
caught 11 'one round less, chunks 1 2 2 1' RECOVERY "$chunks_1221"
caught 11 'one round less, chunks 2 2 2 2' RECOVERY "$chunks_2222"
caught 11 'one round less, chunks 1 1 1 1' RECOVERY "$chunks_1111"

# Every row of the tables is come to, but for the one that the model shows to be dead.
missed=$(comm -23 <(grep -o 'row("[^"]*")' "$model" | sed 's/("/ /; s/")//' | sort -u) <(sort -u rows))
if [[ $missed == 'row EkReceivedCt1Sampled, Ct1Ack' ]]; then
  echo 'Every row of the tables was come to, except: EkReceivedCt1Sampled, Ct1Ack (no run can come to it).'
else
  echo "Rows that were not come to, where only EkReceivedCt1Sampled, Ct1Ack was expected:"$'\n'"$missed"
  failures=$((failures + 1))
fi

echo "$failures failed"
[[ $failures -eq 0 ]]
