"""
Command injection by its place: a short text that goes on where a value ends, with a separator and a command behind
it.

`ls | grep x` begins with a command, as a developer's line does; `; cat x`, `127.0.0.1 && id` and `$(id)` begin with
the end of somebody else's. The separators are those of POSIX.1-2017, Shell Command Language, §2.9, and of cmd.exe;
the shapes are those of the OWASP Testing Guide 4.2, WSTG-INPV-12.
"""

# ruff: noqa: E501 (a pattern broken over lines is harder to compare with its source)

import re2

MAX_CHARS = 4_000
"""A payload is a form value. Longer texts are read by the rules of `commands`, wherever the payload stands in them."""

_COMMANDS = (
    "7z|arp|at|awk|base64|bash|cat|certutil|chgrp|chmod|chown|cmd|cp|crontab|csh|curl|cut|dash|date|dd|del|df|dig|dir|du|echo|env|exec|expr|fetch|file|find|"
    "finger|ftp|gcc|gem|getent|git|grep|gzip|halt|head|host|hostname|id|ifconfig|init|ip|ipconfig|iptables|kill|killall|ksh|last|less|ln|locate|ls|lsof|lynx|mail|"
    "make|md|mkdir|mkfifo|mkfs|more|mount|mv|nc|ncat|net|netcat|netsh|netstat|nft|nl|nmap|node|nohup|nslookup|od|openssl|passwd|perl|phpinfo|php|ping6?|pip|pkill|poweroff|"
    "powershell|print|printenv|printf|ps|pwd|pwsh|python[23]?|read|reboot|reg|rev|rm|rmdir|route|ruby|scp|sed|service|set|sh|shutdown|sleep|socat|sort|ss|ssh|strings|su|sudo|"
    "systemctl|systeminfo|tac|tail|tar|taskkill|tasklist|tee|telnet|tftp|time|timeout|top|touch|tr|traceroute|type|uname|uniq|unzip|uptime|useradd|usermod|ver|vi|vim|vol|w|wc|"
    "wget|whereis|which|who|whoami|wmic|xargs|xterm|xxd|zip|zsh"
)
_COMMAND = rf"(?:(?:\S*/)?(?i:{_COMMANDS})(?:\.exe)?(?:[\s;|&<>)'\"`$(+*#/\\\\{{]|\z)|/(?:usr/|s?bin/)\S|\{{?cmd\}}?|\$\w+=|\{{\$_)"
_SEPARATOR = r"(?:;|\|\|?|&&?|；)"
_ENCODED = r"(?:;|\|\|?|&&?|；|\n|\r|\x0c|\x{2028}|\x{2029})"
"""A line break between two words is a separator only where it came in disguise: else it is a text of two lines."""
_LEAD = r"[\s'\"*)\]}+.?]*"
_VALUE = r"[\w./:*@\\-]{1,40}['\")]*"
_HOST = r"(?:(?:[\w-]+[.:@])+[\w-]+|\d+)['\")]*"


def _follows(separator: str) -> str:
    """A separator and a command, behind nothing, a value, or a value of more than a word and a blank (`grep x` is no value)."""
    chained = rf"(?:{separator}[\s+]*)+{_COMMAND}"
    return rf"{_LEAD}{chained}|(?:{_VALUE}|{_HOST}\s){chained}"


_PAYLOAD = re2.compile(
    rf"\A(?:"
    rf"{_follows(_SEPARATOR)}"  # ; cat x   127.0.0.1; id
    rf"|{_LEAD}(?:\\[rn])+\s*{_COMMAND}"  # \n/usr/bin/id
    rf"|\s*[\w./*-]{{0,40}}['\"]?(?:\$\(|`)[\s`]*{_COMMAND}(?:.*[)`])?[\s'\"]*\z"  # $(id)
    rf"|\s*[;:@]?\s*(?:<\?(?:php|=)?\s*@?)?(?i:system|exec|passthru|shell_exec|popen|eval|assert|proc_open|pcntl_exec)\(\s*['\"]\s*{_COMMAND}"  # system('id')
    r"|\s*[;:]\s*(?i:php(?:info|version)|system|exec|passthru|shell_exec|eval)\("
    r"|\s*<\?(?:php|=)?\s*@?(?i:system|exec|passthru|shell_exec|eval|assert)\("
    r"|\s*(?:\{\{\s*\d+\s*[*+-]\s*\d+\s*\}\}|[$#]\{\s*\d+\s*[*+-]\s*\d+\s*\}|<%=\s*\d+\s*[*+-]\s*\d+\s*%>)"  # {{7*7}}
    r"|\s*\{\{\s*(?:config|self|request|get_user_file|''\.__class__|cycler|lipsum)\b"
    r"|\s*\$\{@?(?:print|system|exec|phpinfo|eval)\("
    r"|\s*%COMSPEC%\s+/c\b"
    r"|<\{?cmd\}?"
    r")"
)

_DISGUISED = re2.compile(rf"\A(?:{_follows(_ENCODED)})")

_TABLE = re2.compile(r"\A\s*\|[^\n|;&`$]*\|[^\n|;&`$]*\|")
"""A table in Markdown also begins with a bar and a word."""

_FIRST_WORD = re2.compile(
    rf"\A[ \t]*(?:sudo\s+)?(?:/(?:usr/)?s?bin/)?(?:{_COMMANDS}|cd|export|if|for|while|do|then|npm|yarn|docker|apt|apt-get|brew|cargo|go|mvn|kubectl|[.~]/\S+)(?:\s|\z)"
)
"""A line that begins with a command chains its own commands: that is shell, not injection."""

_ANYWHERE = re2.compile(
    r"(?i:<!--#\s*(?:exec|include)\s+(?:cmd|virtual|file)=)"  # server-side includes
    r"|\$'(?:\\[0-7]{3}){3,}"  # $'\143\141\164': words spelt in octal
    r"|\A\s*(?:\\[0-7]{3}){2,}\s+/"
    r"|(?:\w+=[^;\s]{1,40};){2,}\s*\$\w+\$\w+"  # a=c;b=at;$a$b
)


def begins_with_command(line: str) -> bool:
    return bool(_FIRST_WORD.search(line.encode("utf-8", "replace")))


def is_injection(text: str, *, decoded: bool = False) -> bool:
    """Is this whole text a payload? `decoded`: it came URL or HTML encoded. False for texts longer than `MAX_CHARS`."""
    if len(text) > MAX_CHARS:
        return False
    data = text.encode("utf-8", "replace")
    if _ANYWHERE.search(data):
        return True
    if _FIRST_WORD.search(data) or _TABLE.search(data):
        return False
    return bool(_PAYLOAD.search(data) or (decoded and _DISGUISED.search(data)))
