# Sourced by bin/dev and bin/test: leaves Bun in $BUN, the packages installed and Prisma's client generated.
# Needs a Debian-like system with Node and npm, or Bun. POSIX shell.
# Before that it answers for the script's command line: -h and --help print the comment at its head; an option
# that is not in $OPTIONS, or a word where $WORDS is not set, ends with 2.

MINIMUM_BUN=1.4.0

say() { printf '%s\n' "$*" >&2; }

usage() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; }
for word in "$@"; do
  case $word in -h | --help) usage; exit 0 ;; esac
done
for word in "$@"; do
  case $word in
    -*) case " $OPTIONS " in *" $word "*) continue ;; esac ;;
    *) [ -z "$WORDS" ] || continue ;;
  esac
  say "Unexpected $word."
  usage >&2
  exit 2
done

cd "$(dirname "$0")/.." || exit 1
cache="${XDG_CACHE_HOME:-$HOME/.cache}/aizy"
pinned=$(sed -n 's/.*"bun": "\([0-9][^"]*\)".*/\1/p' package.json | head -n 1)

new_enough() {
  version=$("$1" --version 2>/dev/null) || return 1
  [ "$(printf '%s\n%s\n' "$MINIMUM_BUN" "$version" | sort -V | head -n 1)" = "$MINIMUM_BUN" ]
}

# 1. Bun: the one on PATH, the project's own, one fetched earlier, or the package from npm.
BUN=
for candidate in "$(command -v bun 2>/dev/null)" node_modules/.bin/bun "$cache/bun-$pinned/node_modules/.bin/bun"; do
  if [ -n "$candidate" ] && new_enough "$candidate"; then
    BUN=$candidate
    break
  fi
done
if [ -z "$BUN" ]; then
  if ! command -v npm >/dev/null 2>&1; then
    say "Bun $MINIMUM_BUN or newer is needed, and there is neither Bun nor npm to fetch it with."
    say "Install one of them: https://bun.sh or Node.js with npm. Then run this again."
    exit 1
  fi
  say "Bun        fetching $pinned from npm"
  mkdir -p "$cache"
  fetched=$(mktemp -d "$cache/bun-XXXXXX")
  if ! npm install --prefix "$fetched" --no-audit --no-fund --loglevel=error "bun@$pinned" >"$fetched/log" 2>&1; then
    cat "$fetched/log" >&2
    rm -rf "$fetched"
    say "npm could not install bun@$pinned; see above. Check the network, then run this again."
    exit 1
  fi
  # Another run may have put it there meanwhile; either is the same package.
  mv -T "$fetched" "$cache/bun-$pinned" 2>/dev/null || rm -rf "$fetched"
  BUN="$cache/bun-$pinned/node_modules/.bin/bun"
fi

# 2. Packages, when the lockfile is not the one that was installed. One run at a time.
prepare() {
  lock=$(cat bun.lock patches/* | cksum)
  if [ "$(cat node_modules/.installed 2>/dev/null)" != "$lock" ]; then
    say "Packages   installing from bun.lock"
    if ! "$BUN" install --frozen-lockfile --silent >&2; then
      say "The packages could not be installed; see above. When package.json was edited, run bun install first."
      return 1
    fi
    printf '%s\n' "$lock" >node_modules/.installed
  fi
  # 3. Prisma's client, when the schema is not the one it was made from.
  schema=$(cat prisma/schema.prisma bun.lock | cksum)
  if [ "$(cat src/generated/.made-from 2>/dev/null)" != "$schema" ]; then
    say "Prisma     generating the client"
    "$BUN" local/generate.ts >&2 || return 1
    printf '%s\n' "$schema" >src/generated/.made-from
  fi
}
mkdir -p .data
if command -v flock >/dev/null 2>&1; then
  exec 9>.data/prepare.lock
  flock 9
  prepare || exit 1
  exec 9>&-
else
  prepare || exit 1
fi

# The project's own Bun from here on, so that every run uses the pinned version.
BUN=$PWD/node_modules/.bin/bun
PATH=$PWD/node_modules/.bin:$PATH
export PATH
