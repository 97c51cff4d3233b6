#!/bin/sh
# phoenix.sh - puts the browser build of the npm package phoenix where the build embeds it from.
#
#   web/phoenix.sh DIRECTORY     writes DIRECTORY/phoenix.js, with npm's files beside it
#
# The package is the one of package-lock.json. Where there is no npm, or no way to its registry, the
# file is empty and the page says what is missing; everything else works without it.
set -eu

web=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
cd "$1"
cp "$web/package.json" "$web/package-lock.json" .
if command -v npm >/dev/null &&
    npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >npm.log 2>&1; then
    # The licence travels with the code.
    {
        echo '/*'
        sed 's|\*/|* /|g' node_modules/phoenix/LICENSE.md
        echo '*/'
        cat node_modules/phoenix/priv/static/phoenix.min.js
    } >phoenix.js.new
    mv phoenix.js.new phoenix.js
else
    echo "the chat of the development page is left out: it needs npm, and the package phoenix from it" >&2
    : >phoenix.js
fi
