#!/usr/bin/env bash
# The Nu HTML checker says that `img-src data:` blocks the very data: pictures that it allows.
#
# Versions: vnu-jar 26.9.27, Java 17 or newer.
# Guess:    a policy with `img-src data:` lets a page show a picture from a data: address, as CSP level 3 says (section
#           6.7.2.8: a scheme-source matches a URL of that scheme), and as Chromium does. The checker agrees.
# Seen:     it warns that the picture is blocked by img-src, also with 'self' beside data:. Without a policy it says
#           nothing.
#
#     no policy:              0 warnings
#     img-src data::          1 warning
#     img-src 'self' data::   1 warning
#
# It needs Java and npm.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund vnu-jar@26.9.27 >/dev/null

page() {
  printf '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>dot</title>%s</head>\n' "$1"
  printf '<body><img alt="a dot" src="data:image/png;base64,%s"></body></html>\n' \
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
}

count() {
  java -jar node_modules/vnu-jar/build/dist/vnu.jar --stdout --exit-zero-always page.html |
    grep -c 'blocked by .img-src. directive' || true
}

policy() { printf '<meta http-equiv="Content-Security-Policy" content="%s">' "$1"; }

page "" > page.html
none=$(count)
page "$(policy "img-src data:")" > page.html
alone=$(count)
page "$(policy "img-src 'self' data:")" > page.html
beside=$(count)
echo "no policy:              $none warnings"
echo "img-src data::          $alone warning"
echo "img-src 'self' data::   $beside warning"
[ "$none$alone$beside" = 011 ] || { echo "no longer so"; exit 1; }
