"""The look of every page: one frame, one style sheet, no script.

Hides HTML's boilerplate and the Content-Security-Policy: the style stands in the page and is allowed by its
hash; nothing else may load or run.
"""

from __future__ import annotations

import base64
import hashlib
import html

_STYLE = """
:root{color-scheme:light dark;--ink:#1b2a30;--soft:#5a6b72;--line:#d9e0e2;--back:#fbfcfc;--card:#fff;
--accent:#0a6e6e;--warn:#a33b20;--code:#f0f4f4}
@media (prefers-color-scheme:dark){:root{--ink:#e4ecee;--soft:#9db0b6;--line:#2c3b41;--back:#11191c;
--card:#182327;--accent:#5cc8c0;--warn:#f08a6c;--code:#0d1416}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--ink);font:16px/1.55 system-ui,"Noto Sans SC",sans-serif}
header,main,footer{max-width:64rem;margin:0 auto;padding:0 1.25rem}
header{display:flex;gap:1.25rem;align-items:baseline;padding-top:1.1rem;padding-bottom:.9rem;flex-wrap:wrap}
header a{text-decoration:none}
header .name{font-weight:700;font-size:1.2rem;color:var(--ink);letter-spacing:.01em}
main{padding-top:.5rem;padding-bottom:3rem}
h1{font-size:1.75rem;line-height:1.25;margin:.6rem 0 .8rem}h2{font-size:1.15rem;margin:2rem 0 .6rem}
a{color:var(--accent)}.lead{font-size:1.1rem;max-width:46rem}.soft{color:var(--soft)}
.wide{overflow-x:auto;border:1px solid var(--line);border-radius:8px;background:var(--card)}
table{border-collapse:collapse;width:100%;font-size:.92rem}
th,td{text-align:left;padding:.4rem .7rem;border-bottom:1px solid var(--line);vertical-align:top}
tbody tr:last-child td{border-bottom:0}td{overflow-wrap:anywhere}td.number{text-align:right}
th{color:var(--soft);font-weight:600;white-space:nowrap}
textarea,pre{width:100%;font:14px/1.5 ui-monospace,Menlo,Consolas,monospace;background:var(--code);
color:var(--ink);border:1px solid var(--line);border-radius:8px;padding:.8rem;overflow-x:auto}
pre .mark{color:var(--warn);font-weight:700}
select,button,input{font:inherit;padding:.45rem .8rem;border-radius:8px;border:1px solid var(--line);
background:var(--card);color:var(--ink)}
button{background:var(--accent);border-color:var(--accent);color:var(--back);font-weight:600;cursor:pointer}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
.row{display:flex;gap:.8rem;align-items:center;flex-wrap:wrap;margin:.8rem 0}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));gap:.8rem;margin:1.2rem 0}
.facts div{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.7rem .9rem}
.facts b{display:block;font-size:1.3rem}
footer{color:var(--soft);font-size:.88rem;border-top:1px solid var(--line);
padding-top:1rem;padding-bottom:2rem}
"""

_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)


def opening(title: str) -> str:
    """The page up to where its content starts; `title` is plain text."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)} · Stroma</title><style>{_STYLE}</style></head><body>"
        '<header><a class="name" href="/">Stroma</a><nav class="row"><a href="/sparql">SPARQL</a>'
        '<a href="/queries">Questions</a><a href="/why">Why</a>'
        '<a href="/dump">Download</a><a href="/about">About</a></nav></header><main>\n'
    )


def closing(version: str) -> str:
    """The rest of the page; `version` is the snapshot's."""
    return (
        f"</main><footer>Snapshot {html.escape(version)} · data CC BY 4.0, code Apache-2.0 · not medical "
        "advice</footer></body></html>\n"
    )


def page(title: str, content: str, version: str) -> bytes:
    """A whole page around `content`, which is HTML."""
    return (opening(title) + content + closing(version)).encode()
