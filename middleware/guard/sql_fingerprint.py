"""
SQL injection by its grammar: a short text becomes a row of token letters, and the row is compared with those of
attacks.

The idea is libinjection's (N. Galbreath, "New Ways to Detect SQLi", Black Hat USA 2012): a text is read three times,
as it stands and as the inside of a string that its first single or double quote closes. A question about SQL, or SQL
itself, does not go on with `OR 1=1` there. The token classes and the table below are our own.

Every text here is short (`MAX_CHARS`), and every token pattern is one class under one repetition or a word of a list:
the standard library's engine reads each character once.
"""

# ruff: noqa: E501 (a pattern broken over lines is harder to compare with its source)

import re
from collections.abc import Iterator

import re2

MAX_CHARS = 1_000
"""A payload is a form value. Longer texts are read by the rules of `commands`, wherever the payload stands in them."""

_LOGIC = "L"
_KINDS: dict[str, str] = {
    **dict.fromkeys(("and", "or", "xor"), _LOGIC),
    **dict.fromkeys(("like", "rlike", "regexp", "in", "is", "between", "ilike", "sounds"), "o"),
    **dict.fromkeys(("true", "false", "null"), "n"),
    **dict.fromkeys(("not", "all", "distinct", "binary", "top"), ""),
    **dict.fromkeys(("union", "intersect", "except", "minus"), "U"),
    "select": "S",
    **dict.fromkeys(
        ("insert", "update", "delete", "drop", "alter", "create", "truncate", "exec", "execute", "declare", "shutdown", "grant", "waitfor",
         "begin", "copy", "load", "desc", "describe", "rename", "backup", "attach", "merge", "call", "print", "handler", "prepare", "use"), "X",
    ),
    **dict.fromkeys(("group", "order", "having", "limit", "procedure", "into", "offset", "where"), "G"),
}  # fmt: skip
"""Letters of the words that make SQL; "" is a word that changes nothing. Any other word is `w`, or `f` where a parenthesis follows."""

_FUNCTIONS = frozenset(
    ("sleep", "pg_sleep", "benchmark", "randomblob", "load_file", "extractvalue", "updatexml", "xmltype", "char", "chr", "nchar", "version", "user", "system_user",
     "database", "current_user", "session_user", "elt", "ascii", "substring", "substr", "mid", "ord", "hex", "unhex", "concat", "convert", "cast", "if", "iif", "count",
     "length", "len", "exists", "case", "make_set", "bin", "rand", "floor", "exp", "lower", "upper", "db_name", "host_name", "current_setting", "md5", "sha1", "to_char", "conv", "left", "right")
)  # fmt: skip
"""Functions that attacks ask: `F` in the row."""

_TOKEN = re.compile(
    r"(?P<blank>[\s\x00]+|/\*!\d*|\*/)"
    r"|(?P<comment>--|#|/\*)"
    r"|(?P<hex>0[xX][0-9A-Fa-f]+)"
    r"|(?P<number>\d[\d.eE]*|\.\d+)"
    r"|(?P<variable>@@?[\w.$]*)"
    r"|(?P<word>[^\W\d][\w.$]*)"
    r"|(?P<logic>\|\||&&)"
    r"|(?P<operator>[=<>!])"
    r"|(?P<arithmetic>[-~^*/%+|&:])"
    r"|(?P<quote>['\"`´’])"
    r"|(?P<other>.)",
    re.DOTALL,
)


def row(text: str, quote: str = "") -> str:
    """
    The text as token letters, read as the inside of a string if `quote` is given.

    s string, q string that the text leaves open, n number, h hexadecimal number that spells SQL, v variable, c comment to the end,
    L and/or, o comparison, a arithmetic, U union, S select, X statement, G clause, F asked function, f other function, w word, and `(),;{}$`.
    """
    letters: list[str] = []
    position = 0
    if quote:
        position = _closing(text, 0, quote)
        if position < 0:
            return ""
        letters.append("s")
    size = len(text)
    while position < size:
        match = _TOKEN.match(text, position)
        if match is None:  # no character is without a class
            break
        kind, value = match.lastgroup, match.group()
        position = match.end()
        if kind == "comment":
            end = text.find("*/", position) if value == "/*" else -1
            if end < 0:
                letters.append("c")
                break
            position = end + 2
        elif kind == "quote":
            end = _closing(text, position, "'" if value in "´’" else value)
            letters.append("q" if end < 0 else "s")
            if end < 0:
                break
            position = end
        elif kind == "word":
            word = value.lower()
            called = text[position : position + 12].lstrip(" \t\n").startswith("(")
            letters.append(_KINDS.get(word, ("F" if word in _FUNCTIONS else "f") if called else "w"))
        elif kind == "hex":
            letters.append("h" if _spells_sql(value) else "n")
        elif kind == "other":
            letters.append(value if value in "(),;{}$" else "?")
        elif kind != "blank":
            letters.append(
                {"number": "n", "variable": "v", "logic": _LOGIC, "operator": "o", "arithmetic": "a"}[kind or ""]
            )
    return "".join(letters)


def _closing(text: str, start: int, quote: str) -> int:
    """Behind the next such quote that is neither escaped nor doubled; -1 if there is none."""
    while (end := text.find(quote, start)) >= 0:
        if end > start and text[end - 1] == "\\" and start > 0:
            start = end + 1
            continue
        return end + 1
    return -1


def _spells_sql(value: str) -> bool:
    """`0x73656c656374` is "select": a way around filters for words. Both bytes and UTF-16 are seen."""
    digits = value[2:66]
    spelt = bytes.fromhex(digits[: len(digits) & ~1]).replace(b"\0", b"").lower()
    return spelt.startswith((b"sel", b"exec", b"wait", b"decl", b"drop", b"inse", b"upda", b"dele", b"0x73"))


_BROKEN_OUT = re2.compile(
    r"^s\)*(?:"
    r"c"  # admin'--   ' #
    r"|L\(*[ns]\)*(?:[oacLGq]|$)"  # ' or 1=1   ' or 'x
    r"|L\(*[FfS]"  # ' and sleep(5)   ' and (select ...)
    r"|L.*(?:o.*[q;]|c)$"  # ' and a='a   ' and name is null--
    r"|\(*U(?:\(*S|.*c$)"
    r"|;+(?:[XSULc]|F\()"  # '; drop table ...
    r"|;.*c$"
    r"|G[nwfF(),]*(?:[coL]|$)"  # ' order by 3--
    r"|X(?:G|.*c$)"  # ' insert into ...   ' exec xp_...--
    r")"
)
"""Behind the quote that closed the application's string."""

_SPLICED = re2.compile(r"^s[oaL](?:[^;]*[oaL])?q$")
"""A value put between two halves of the application's string: `'||(select ...)||'`, `'-'`."""

_PREFIX_CHARS = 64
"""What stands before the quote is a value, or the few words that bring a payload up."""

_APPENDED = re2.compile(
    r"^(?:"
    r"n?\)*L\(*[nsv]\)*(?:o+\(*[nsqvhF]|c)"  # 1 or 1=1
    r"|L[nsv](?:$|L)"  # AND 1
    r"|n?\)*L\(*(?:F|S)"  # and (select ...
    r"|n?\)*;?U\(*S"  # 1 union select
    r"|n?\)*Gw?[n(F][n,F()]*c"  # ORDER BY 28--
    r"|n?\)*;+c?[XSU][wvXF(noa]"  # 1;SELECT *
    r"|,\(*S"  # ,(select ...
    r"|h"  # 0x73656c...
    r"|X[vw][wf]?\(?n?\)?S?v?o(?:$|h)"  # declare @s varchar(8000) select @s = 0x...
    r")"
)
"""Behind a number or nothing: the text goes on with a condition, a union or a second statement."""

_ENDED = re2.compile(r"(?:[SUXG]|o[nsv]|[nsv]o).*c$")
"""SQL whose last characters begin an empty comment: nobody comments on nothing, an attack cuts off the rest so."""
_EMPTY_COMMENT = re2.compile(r"(?:--[\s+-]*|#\s*|;%00)\z")

_HASH_WORD = re2.compile(r"\s*#\w")

_FRAGMENT = re2.compile(
    r"(?i)^\s*(?:(?:order|group)\s+by|exec(?:ute)?\s+[sx]p\w*|union\s+(?:all\s+)?select|n?o?r?\s*sleep\s*\(\s*\d+\s*\)|benchmark\s*\(.*\)|randomblob\s*\([^)]*\)"
    r"|\d+\s*[-*+]\s*(?:true|false)|print\s+@@\w+"
    r"|select\s+(?:@@\w+|(?:current_setting|inet_server_\w+|current_database|current_user|session_user|system_user|user|version|database|host_name|db_name|user_name|suser_s?name)\s*\(.*\)"
    r"|(?:system_user|current_user|session_user|user))(?:\s+from\s+dual)?\s*;?"
    r"|[\s'\"`]*(?:['\"`][\s]*[-+=*&^|<>]+\s*['\"`])+[\s'\"`]*)\s*\z"
)
"""Whole texts that are a piece of a statement, or ask a server what it is: nobody's question has so few words."""


def _joined(text: str) -> Iterator[str]:
    """The text, and what it is with the comments inside its words taken out (`UN/**/ION`)."""
    yield text
    if _SPLIT_WORD.search(text):
        yield _COMMENT.sub("", text)


_COMMENT = re2.compile(r"/\*[^*]*\*/")
_SPLIT_WORD = re2.compile(r"[A-Za-z]/\*[^*]*\*/[A-Za-z]")


def is_injection(text: str) -> bool:
    """Is this whole text, or what the first quote in it leaves, a payload? False for texts longer than `MAX_CHARS`."""
    if len(text) > MAX_CHARS:
        return False
    if _FRAGMENT.search(text):
        return True
    for form in _joined(text):
        plain = row(form)
        if _APPENDED.search(plain) or (_EMPTY_COMMENT.search(form) and _ENDED.search(plain)):
            return True
        for quote in "'\"":
            before, found, behind = form[: _PREFIX_CHARS + 1].partition(quote)
            if not found or "\n" in before:
                continue
            inside = row(form, quote)
            bare = not any(c.isspace() for c in before.strip())
            if inside.startswith("sc") and _HASH_WORD.match(behind):
                continue  # '#RRGGBB' in a sentence
            if _BROKEN_OUT.search(inside) or (bare and _SPLICED.search(inside)):
                return True
    return False
