#!/usr/bin/env bash
# Installs the outside tools that some integration tests talk to, where that can be done without asking:
# as root on Debian or Ubuntu. Elsewhere it names what is missing, and those tests are skipped (in CI they fail).
#   skopeo           copies models out of the blob store
#   docker-registry  a registry to copy them to
#   prometheus       for promtool, which checks the metrics page
set -euo pipefail

missing=()
command -v skopeo >/dev/null || missing+=(skopeo)
command -v docker-registry >/dev/null || missing+=(docker-registry)
command -v promtool >/dev/null || missing+=(prometheus)
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "some tests will be skipped; to run them: apt-get install ${missing[*]}" >&2
  exit 0
fi

# The packages would start their servers; the tests start their own.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
install() { apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null; }
install 2>/dev/null || { apt-get update -qq && install; } \
  || echo "some tests will be skipped: could not install ${missing[*]}" >&2
