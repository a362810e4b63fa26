#!/usr/bin/env bash
# What the gate uses and `npm ci` doesn't bring: SoftHSM and the compiled binding to it, browsers, the model checker. In CI, as root and
# with apt, it installs what is missing; elsewhere it says so. Never fails: the tests that need something say what they miss.
set -uo pipefail
cd "$(dirname "$0")/.."

# command:package
wanted=(softhsm2-util:softhsm2 chromium:chromium firefox-esr:firefox-esr spin:spin gcc:gcc g++:g++ make:make python3:python3)
missing=()
for each in "${wanted[@]}"; do
  command -v "${each%%:*}" >/dev/null || missing+=("${each##*:}")
done

if [[ ${#missing[@]} -gt 0 ]]; then
  if [[ ${CI:-} == true && $EUID -eq 0 ]] && command -v apt-get >/dev/null; then
    apt-get update -qq || true
    # One by one: a package that this system doesn't have costs only itself.
    for package in "${missing[@]}"; do
      DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null || echo "could not install $package" >&2
    done
  else
    echo "missing: ${missing[*]}. On Debian or Ubuntu: apt-get install ${missing[*]}" >&2
  fi
fi

# `npm ci` compiles nothing, so that it needs no compiler. Headers beside the running Node spare node-gyp a download.
if ! node -e "require('pkcs11js')" 2>/dev/null; then
  prefix=$(node -p "require('node:path').resolve(process.execPath, '../..')")
  headers=''
  [[ -f $prefix/include/node/node_api.h ]] && headers="--nodedir=$prefix"
  output=$(npm run --silent build --prefix node_modules/pkcs11js -- ${headers:+"$headers"} 2>&1) || echo "could not compile pkcs11js: $output" >&2
fi
exit 0
