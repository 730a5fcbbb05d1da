#!/usr/bin/env bash
# On a page with a strict policy, playwright waits for a function to be true, but not for the same thing as an expression.
#
# Versions: playwright 1.65.2, Chromium 156.0.8078.108 (the system's, on the PATH).
# Guess:    `wait_for_function("document.title === 'ready'")` and the same with `() =>` before it do the same, as they do
#           for `evaluate`. A Content-Security-Policy without 'unsafe-eval' forbids neither.
# Seen:     the expression works if it is true at the first look. If playwright must look again, it evaluates the text in
#           the page, which the policy forbids. So a test passes on a fast machine and fails on a slow one.
#
#     true at once: expression ok, function ok
#     true later:   expression EvalError, function ok
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome)
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check playwright==1.65.2

"$work/venv/bin/python" - "$work" "$chromium" <<'PYTHON'
import base64
import hashlib
import sys
from pathlib import Path

from playwright.sync_api import Error, sync_playwright

folder, chromium = sys.argv[1:]
EXPRESSION = "document.title === 'ready'"
FORMS = {"expression": EXPRESSION, "function": f"() => {EXPRESSION}"}


def write_page(milliseconds: int) -> str:
    script = f"setTimeout(() => {{ document.title = 'ready'; }}, {milliseconds})"
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; script-src 'sha256-{digest}'"
    path = Path(folder, "page.html")
    path.write_text(
        f'<!doctype html><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>waiting</title><script>{script}</script>"
    )
    return path.as_uri()


found = {}
with sync_playwright() as started:
    browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
    for when, milliseconds in (("at once", 0), ("later", 1500)):
        for form, condition in FORMS.items():
            page = browser.new_page()
            page.goto(write_page(milliseconds))
            if when == "at once":
                page.wait_for_timeout(500)
            assert page.evaluate(condition) is (when == "at once")
            try:
                page.wait_for_function(condition, timeout=10_000)
                found[when, form] = "ok"
            except Error as error:
                found[when, form] = "EvalError" if "EvalError" in str(error) else str(error)
    browser.close()

for when in ("at once", "later"):
    said = ", ".join(f"{form} {found[when, form]}" for form in FORMS)
    print(f"{f'true {when}:':13s} {said}")
expected = {(when, form): "ok" for when in ("at once", "later") for form in FORMS}
expected["later", "expression"] = "EvalError"
sys.exit(found != expected)
PYTHON
