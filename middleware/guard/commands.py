"""
Rules for SQL and shell injection: text that breaks out of a quoted value or a parameter, not SQL or shell as such.

Developers ask about both all day, so a rule wants the mark of an attack: a quote closed before the operator, a statement stacked behind one,
a function no question needs (xp_cmdshell, pg_sleep in a condition), a metacharacter followed by a reconnaissance command.
Sources: OWASP Testing Guide 4.2, WSTG-INPV-05 and -12; the shapes of the OWASP Core Rule Set 4, 942 and 932.
"""

# ruff: noqa: E501 (a pattern broken over lines is harder to compare with its source)

import html
from collections.abc import Iterator
from urllib.parse import unquote_plus

from middleware.guard import shell_fingerprint, sql_fingerprint
from middleware.guard.rule import Check, Rule

_DECODINGS = 2
"""How often a payload may be URL or HTML encoded: once for the form, once for a filter."""


def _decoded(text: str) -> Iterator[str]:
    """What a server makes of a text in which something is encoded."""
    for _ in range(_DECODINGS):
        form = unquote_plus(text) if "%" in text else text
        form = html.unescape(form) if "&" in form else form
        if form == text:
            return
        yield form
        text = form


def _quoted(text: str) -> Iterator[str]:
    """The text, and what a sentence brings up at its end ("I typed: 1 or 1=1")."""
    yield text.strip()
    head, colon, tail = text.partition(": ")
    if colon and len(head) <= _SENTENCE_CHARS and not set(head) & _CODE:
        yield tail.strip()


_SENTENCE_CHARS = 80
_CODE = frozenset("'\"`{}[]()=$<>\n")


def _sql_payload(value: str, before: str, after: str) -> bool:
    """Texts of this length are read whole; the rules above find a payload in longer ones."""
    if len(value) > sql_fingerprint.MAX_CHARS:
        return False
    return any(map(sql_fingerprint.is_injection, (*_quoted(value), *_decoded(value))))


def _shell_payload(value: str, before: str, after: str) -> bool:
    if len(value) > shell_fingerprint.MAX_CHARS:
        return False
    return any(map(shell_fingerprint.is_injection, _quoted(value))) or any(
        shell_fingerprint.is_injection(form, decoded=True) for form in _decoded(value)
    )


def _behind_a_value(value: str, before: str, after: str) -> bool:
    """`cd x && ls` is a line of shell; what follows a command's separator there is no injection."""
    line = f"{before}{value}".rpartition("\n")[2] if "\n" not in value.strip() else value
    return not shell_fingerprint.begins_with_command(line)


def _row(slug: str, pattern: str, trigger: str = "", check: Check | None = None) -> Rule:
    return Rule(f"sql-{slug}", "sql", pattern, trigger, check=check)


_S = r"(?:[\s+]|/\*[^*]*\*/|%20|%0a|%09)*"
"""What stands for a blank in an attack: spaces, plus signs, comments, URL escapes."""
_S1 = r"(?:[\s+]|/\*[^*]*\*/|%20|%0a|%09)+"
_Q = r"(?:['\"`’]|%27|%22|\\')"
_BROKEN_OUT = rf"(?:(?:^|\n)(?:%00)?[^'\"\n]{{0,32}}{_Q})"
"""The first quote of a line closes something: in ordinary SQL the first quote opens a value."""

_SQL = (
    # ' OR 1=1 --, ") or ("a"="a, admin' or '1'='1
    _row(
        "tautology",
        rf"(?i)(?:{_Q}|%00)[\s+)]*(?:%20|%29)*{_S}(?:or|and|\|\||&&|xor|having|where|%26%26|%7c%7c)(?:{_S1}|\b)[\s(+]*(?:not{_S})?(?:[(]{_S})*(?:\d+|true\b|{_Q}[\w%]*{_Q}?){_S}(?:(?:=|<|>|like\b|rlike\b|regexp\b|in\s*\(|is\b|between\b|%3d|!=|<>){_S}[('\"]*{_Q}?[\w']|--|#|/\*|%23)",
        rf"(?i){_Q}[\s+)%0-9]*(?:or|and|\|\||&&|xor|having|where|%26%26|%7c%7c)[^a-z]|%27|['\"]\s?/\*",
    ),
    _row(
        "broken-out",
        rf"(?i){_BROKEN_OUT}[\s)+]*{_S}(?:or|and|\|\||&&|xor|having|where)(?:{_S1}|\()[^\n]{{0,200}}?(?:--|#|/\*|%23|'\s*=\s*')",
        rf"(?i){_Q}[\s+)%0-9]*(?:or|and|\|\||&&|xor|having|where|%26%26|%7c%7c)[^a-z]|%27|['\"]\s?/\*",
    ),
    _row(
        "tautology-bare",
        rf"(?i)(?:^|[=(\s\d'\"]){_S}(?:or|and){_S1}['\"(]*(?:\d+['\")]*{_S}=={{0,1}}{_S}['\"(]*\d+|'([^']*)'{_S}={_S}'[^']*|true|false|1|not\s+\d+)['\")]*{_S}(?:--|#|/\*|;\s*--|%23|\z|limit\b|order\b|and\b|or\b)",
        r"(?i)\b(?:or|and)(?:[\s+(]|%20|/\*|['\"])+(?:\d|'|\"|true|false|not\s)",
    ),
    _row(
        "quote-comment",
        r"(?:^|\s)[\w@.-]{0,32}(?:'|\")\s*\)*\s*;?\s*(?:--|/\*)[\s+-]*\z|(?:admin|root|administrator|user)['\"]\s*(?:--|#|/\*)",
        r"['\"][\s);]*(?:--|#|/\*)",
    ),
    _row(
        "union-select",
        rf"(?i)(?:{_Q}|\b\d+|^\s*|-1){_S}\)*{_S}(?:/\*!?\d*)?union(?:\*/)?{_S1}(?:(?:all|distinct){_S1})?(?:/\*!?\d*)?select(?:\*/)?(?:{_S1}|\()(?:null\b|\d+\s*,|@@|'|char\(|concat|user\(|version|database\(|load_file|group_concat|sleep|[\w*]+\s+from\s+(?:users?|information_schema|admin|passwords?|accounts?|credentials|mysql)|username|password|table_name|column_name|json_agg|xmlagg|name\b|string_agg|\(select|convert|cast\(|0x|banner)",
        r"(?i)union(?:\s|/\*|\+|%20|\*/)+",
    ),
    _row("union-select-quoted", rf"(?i){_BROKEN_OUT}[\s)+]*(?:{_S}(?:/\*!?\d*)?|%20)union\b", r"(?i)union\b"),
    _row(
        "stacked",
        rf"(?i)(?:{_Q}|\d|\))[ \t+]*\)*[ \t+]*(?:;|%3b)(?:[ \t+]|/\*[^*]*\*/|%20)*(?:drop{_S1}(?:table|database|user|schema|view|procedure)|delete{_S1}from|insert{_S1}into|update{_S1}\w+{_S1}set|alter{_S1}(?:table|user|login|database)|truncate{_S1}table|create{_S1}(?:table|user|login|or\s+replace|function|database)|exec(?:ute)?{_S1}(?:master|xp_|sp_|immediate|\w+_)|exec{_S}\(|shutdown\b|declare{_S1}@|grant{_S1}\w+|waitfor{_S1}|if{_S}\(?(?:not|select|exists|substring|\d|\()[^\n]*?(?:waitfor|select|--)|select{_S1}[^\n]{{0,80}}(?:--|#|pg_sleep|version)|copy{_S1}\w+{_S1}(?:from|to)|rename{_S1}table|backup{_S1}database|load{_S1}data|attach{_S1}database)",
        r"(?i)(?:;|%3b)(?:\s|\+|%20|/\*)*(?:drop|delete|insert|update|alter|truncate|create|exec|shutdown|declare|grant|waitfor|if|select|copy|rename|backup|load|attach)\b",
    ),
    _row(
        "stacked-drop",
        r"(?i)(?:^|[\w'\")]\s*);\s*(?:drop|truncate)\s+(?:table|database|schema|user)\s+[\w.`\"\[\]]+\s*(?:;\s*)?(?:--|#|/\*)",
        r"(?i);\s*(?:drop|truncate)\s+(?:table|database|schema|user)\b",
    ),
    _row(
        "quoted-keyword",
        rf"(?i)(?:^|\s)[\w@%.-]{{0,20}}{_Q}[\s)]*(?:group{_S1}by|order{_S1}by|insert{_S1}into|union|having|procedure{_S1}analyse|into{_S1}(?:out|dump)file|limit\b){_S1}.{{0,80}}?(?:--|#|/\*|\z)",
        r"(?i)(?:['\"]|%27)[\s)]*(?:group|order|insert|union|having|procedure|into|limit)\b",
    ),
    # time and out-of-band channels
    _row(
        "time-based",
        rf"(?i)(?:(?:{_Q}|\d|\b(?:and|or|if|select|then|else|when|xor|not|by|,)|\(|;|\||%20|%28)[\s(+]*(?:%20|%28)*(?:sleep\s*\(\s*(?:\d+|__time__|5)|pg_sleep\s*\(|benchmark\s*\(\s*\d|dbms_lock\.sleep|dbms_pipe\.receive_message|randomblob\s*\(\s*\d{{6,}})|^\s*(?:sleep|pg_sleep|benchmark)\s*\(\s*(?:\d+|__time__).*(?:--|#|/\*|\z)|\bwaitfor{_S1}(?:delay|time){_S}['\"(]|%20sleep)",
        r"(?i)sleep\s*\(|pg_sleep|benchmark\s*\(|dbms_lock|dbms_pipe|randomblob|waitfor",
    ),
    _row(
        "xp-cmdshell",
        r"(?i)\b(?:exec(?:ute)?\s+(?:master\.*)?(?:dbo\.)?xp_\w+|xp_(?:cmdshell|regread|dirtree|fileexist|servicecontrol|availablemedia|enumdsn|loginconfig|makecab|ntsec_enumdomains|terminate_process|regwrite)\b\s*['\"(]|sp_(?:makewebtask|oacreate|addextendedproc|password|configure\s+'(?:xp_cmdshell|show advanced)))",
        r"(?i)\b(?:xp|sp)_",
    ),
    _row(
        "file-access",
        rf"(?i)\binto{_S1}(?:outfile|dumpfile){_S1}['\"]|\bload_file{_S}\(|\bload{_S1}data{_S1}(?:local{_S1})?infile{_S}['\"]/|\butl_(?:http\.request|inaddr\.get_host|file\.fopen)|\bcopy\s+\w+\s+(?:from|to)\s+program\b|\blo_import\s*\(|\bpg_read_file\s*\(|\bbfilename\s*\(",
        r"(?i)outfile|dumpfile|load_file|infile|utl_(?:http|inaddr|file)|\sprogram\s['\"]|lo_import|pg_read_file|bfilename",
    ),
    _row(
        "schema-probe",
        rf"(?i)(?:from|join){_S1}(?:information_schema\.(?:tables|columns|schemata)|mysql\.user|sysobjects|syscolumns|sys\.(?:tables|databases|user\$)|sqlite_master|all_tables|all_tab_columns|user_tables|pg_(?:shadow|user|authid)|syscat\.\w+|sysibm\.\w+|master\.\.sys\w+|v\$version)\b[^\n]{{0,60}}(?:--|#|/\*)|(?:{_Q}[\s)]*(?:and|or|union|;|\|\|)|\b(?:and|or)\b)[^\n]{{0,80}}?(?:information_schema\.|sysobjects|sqlite_master|pg_shadow|pg_authid|mysql\.user|all_tables)|master\.\.sys\w+|from\s+(?:syscat|sysibm)\.\w+",
        r"(?i)information_schema\.|mysql\.user|sysobjects|syscolumns|sys\.(?:tables|databases|user)|sqlite_master|all_tab|user_tables|pg_shadow|pg_user|pg_authid|syscat\.|sysibm\.|master\.\.|v\$version",
    ),
    _row(
        "error-based",
        rf"(?i)(?:{_Q}|\b(?:and|or|select|union)\b)[\s\S]{{0,40}}?(?:extractvalue|updatexml|xmltype|ctxsys\.drithsx|utl_inaddr|exp\(~|floor\(rand\()\s*\(?",
        r"(?i)extractvalue|updatexml|xmltype|drithsx|utl_inaddr|exp\(~|floor\(rand\(",
    ),
    _row(
        "blind",
        rf"(?i)(?:{_BROKEN_OUT}[\s)+]*|^\s*(?:-?\d+)?[\s)+]*){_S}(?:and|or|\|\||&&){_S1}?[\s(]*(?:not{_S})?\(*\s*(?:ascii|ord|length|substr(?:ing)?|mid|left|count|if|case|exists|select|unicode|char_length|conv)\b[^\n]{{0,160}}?(?:=|<|>|--|#|\blike\b|\))",
        r"(?i)\b(?:and|or)[\s+(]+(?:not\s+)?\(*\s*(?:ascii|ord|length|substr|mid|left|count|if|case|exists|select|unicode|char_length|conv)\b|(?:\|\||&&)\s*\(?\s*(?:ascii|length|substr|select)",
    ),
    _row(
        "version-probe",
        rf"(?i)(?:{_Q}|\b(?:and|or|union|if\s*\(?|select)\b)[^\n]{{0,60}}?@@(?:version|hostname|datadir|basedir|servername)\b",
        r"(?i)@@(?:version|hostname|datadir|basedir|servername)",
    ),
    _row(
        "char-encoding",
        r"(?i)(?:char|chr|nchar)\(\d+\)\s*(?:\+|\|\||,)\s*(?:char|chr|nchar)\(\d+\)|declare\s+@\w+\s+(?:n?var)?char[^\n]{0,80}0x[0-9a-f]{6,}|=\s*0x[0-9a-f]{16,}[^\n]{0,40}exec",
        r"(?i)(?:char|chr|nchar)\(\d|0x[0-9a-f]{6}",
    ),
    # documents instead of rows
    _row(
        "nosql",
        r"(?i)[\[{'\"(=,]\s*['\"]?\$(?:where|ne|gt|gte|lt|regex|nin|exists|function)['\"]?\]?\s*[:=]\s*(?:['\"]?(?:this\.|function|return|sleep|\.\*|\^|1|true|null|undefined|['\"]\d+'?\s*==|['\"]\s*[,}]|\w*['\"]?\s*[}&,]))|['\"]\s*(?:\|\||&&|%26%26|%7c%7c)(?:%20|\s)*(?:this\.|'?\d'?\s*==)|\[\$(?:ne|gt|regex|where|nin)\]=|\bdb\.\w+\.(?:insert|drop|mapreduce)\([^\n]*(?:return|emit)|['\"]\s*\}\s*\]?\s*,\s*\$(?:comment|where|or)\b|do\{\w+=new(?:\s|%20|\+)Date\(\)|['\"]\[Op\.(?:ne|gt|gte|or|like)\]['\"]\s*:",
        r"(?i)\$(?:where|ne|gt|gte|lt|regex|nin|exists|function|comment|or)|this\.|\bdb\.|new(?:\s|%20|\+)date\(|\[op\.",
    ),
    _row("ldap", r"\*\)?\(\|?\(|\)\(\|\(|\*\)\(&|\(\|\(\w+=\*\)|\*\(\|\(\w+=\*", r"\(\||\(&|\)\("),
)

_READ = r"(?:cat|less|more|head|tail|type|nl|tac|grep|strings|xxd|base64)"
_RECON = r"(?:whoami|id|uname(?:\s+-\w+)?|ifconfig|ipconfig(?:\s*/all)?|netstat(?:\s+-\w+)?|hostname|ls(?:\s+-?[\w/.-]*)?|dir(?:\s+[\w:\\/]*)?|pwd|ps(?:\s+-?\w+)?|env|printenv|w|who|net\s+user|systeminfo|tasklist|ping\s+-\w\s+\d+\s+[\w.]+|sleep\s+\d+|phpinfo\(\)|ver|set|echo\s+\w+|perl\s+-\w|python3?\s+-\w|php\s+-r|nc\s|wget\s|curl\s|nslookup\s|dig\s|useradd\s|crontab)"

_SHELL = (
    _row(
        "shell-read",
        rf"(?:[;|&`]|\$\(|\$\{{|%0a|%0A|%0d|%3B|%3b|\\n|\\u\w{{4}}|\{{|\bexec\s|['\"]|；){_S}{_READ}(?:\s|\+|%20|\$IFS|\$\{{IFS\}}|<)+[-\w.\s'\"]{{0,20}}[\"']?(?:/etc/(?:passwd|shadow|sudoers|hosts|group)|/proc/self/environ|~/\.ssh/|/root/|C:\\Windows\\(?:win\.ini|System32\\config)|\.\./\.\./)|\.\./\.\./(?:\.\./)*etc/(?:passwd|shadow)",
        r"(?i)/etc/(?:passwd|shadow|sudoers|hosts|group)|/proc/self/environ|\.ssh/|/root/|c:\\windows|\.\./\.\./",
    ),
    _row(
        "shell-destroy",
        r"(?:[;|&`\n]|\$\(|&&|\|\|)\s*(?:sudo\s+)?(?:rm\s+-(?:[rR]f?|f[rR])[a-zA-Z]*\s+(?:--no-preserve-root\s+)?(?:[/~]?\*|[/~]/?(?:[\s;|&)'\"`]|\z)|\$HOME|/(?:bin|boot|etc|home|lib|root|sbin|sys|usr|var|opt)/?\*?(?:[\s;|&)'\"`]|\z))|mkfs(?:\.\w+)?\s+/dev/|dd\s+if=/dev/(?:zero|random|urandom)\s+of=/dev/[sh]d|chmod\s+-?R?\s*777\s+/|shutdown\s+-\w|del\s+/[fsq]\s|format\s+c:|chown\s+-R\s+\w+\s+/)|:\(\)\s*\{\s*:\|:\s*&\s*\}\s*;",
        r"rm\s+-|mkfs|dd\s+if=|chmod\s+-?R?\s*777|shutdown\s+-|del\s+/|format\s+c:|chown\s+-R|:\(\)",
    ),
    # a command behind the end of a value: "; whoami", "| id", "&& ls -la", "`id`", "$(whoami)"
    _row(
        "shell-chained",
        rf"(?i)(?:^|[\w.'\")\]*])?\s*(?:^[\s*'\"]*(?:;|\|\|?|&&?|%0a|%0d|%3b|%7c|%26|\\n)|[\w.'\")*]\s*(?:;|\|\|?|&&?|%0a|%3b|%7c|%26)|；)\s*(?:/usr)?(?:/s?bin/)?{_RECON}\s*(?:[;&#>'\"\n]|\\n|\z)",
        r"(?i)(?:;|\||&|%0a|%0d|%3b|%7c|%26|\\n|；)\s*(?:/usr)?(?:/s?bin/)?(?:whoami|id|uname|ifconfig|ipconfig|netstat|hostname|ls|dir|pwd|ps|env|printenv|who|w|net|systeminfo|tasklist|ping|sleep|phpinfo|ver|set|echo|perl|python|php|nc|wget|curl|nslookup|dig|useradd|crontab)\b",
        _behind_a_value,
    ),
    _row(
        "shell-substitution",
        r"(?i)(?:\$\(|(?:^|[\w;|&='\"/])`|\$\{?@?\{?(?:print\(|system\()?|\{\$\{|<!--#exec\s+cmd=\")\s*(?:/usr)?(?:/s?bin/)?(?:curl\s+(?:-\w+\s+)*['\"]?(?:https?://|[\w.-]+\.\w{2,}/?|\d)|wget\s+(?:-\w+\s+)*['\"]?(?:https?://|[\w.-]+\.\w{2,}/)|(?:whoami|id|uname)\b[^)`\n]{0,8}[)`]\.|cat\s+/|nc\s+-|bash\s+-i|sleep\s*\(?\s*\d|rm\s+-rf|nslookup\s|ping\s+-|sleep\(hexdec|print\(system|system\(|printf\s+'\\x|get-content\s+c:|echo\s+\$\(|base64\s+-d|phpinfo|python3?\s+-c|eval\()",
        r"(?i)(?:\$\(|`|\$\{|<!--#exec)[\s@{]*(?:/usr)?(?:/s?bin/)?(?:curl|wget|whoami|id|uname|cat|nc|bash|sleep|rm|nslookup|ping|print|system|get-content|echo|ls|base64|phpinfo|python|eval|cmd)|#exec",
    ),
    _row(
        "shell-fetch",
        r"(?i)(?:[;|&`\n]|\$\(|&&|\|\||%0a|%3b|^\s*['\"*]*[|;&])\s*(?:sudo\s+)?(?:curl|wget|fetch|lwp-download|tftp|ftp|certutil|bitsadmin)\s[^\n|;&]{0,160}?(?:https?://\S*?(?:attacker|evil|malicious|crowdshield|burpcollab|interact|oast|\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})|\|\s*(?:ba|z|da)?sh\b|-d\s*@|--data\s+@|-urlcache)|\b(?:curl|wget)\s[^\n|;]{0,160}?(?:attacker|evil|malicious|//\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})[^\n|;]{0,80}\|\s*(?:sudo\s+)?(?:ba|z|da)?sh\b",
        r"(?i)(?:curl|wget|fetch|lwp-download|tftp|ftp|certutil|bitsadmin)\s",
    ),
    _row(
        "reverse-shell",
        r"(?i)/dev/(?:tcp|udp)/[\w.$-]+/\d+|\bn(?:c|cat|etcat)(?:\.\w+)?\s+(?:-\w+\s+|[\w.-]+\s+|\d+\s+)*(?:-\w*[ec]\w*)\s+(?:['\"]?/bin/(?:ba)?sh|cmd(?:\.exe)?|sh|bash)|\b(?:ba)?sh\s+-i\s*(?:>|<|2>|\|)|\bmkfifo\s+\S+\s*;|\bfsockopen\s*\(\s*['\"]|pty\.spawn\s*\(|socket\.socket\(\)?[^\n]*?(?:dup2|subprocess)|\bsocat\s+\S*(?:exec|tcp)\S*:|/bin/(?:ba)?sh\s+-i\b|TCPSocket\.(?:new|open)\([^\n]*exec|\btelnet\s+[\w.]+\s+\d+\s*\|\s*/bin",
        r"(?i)/dev/(?:tcp|udp)/|\bn(?:c|cat|etcat)(?:\.exe)?\s|sh\s+-i|mkfifo|fsockopen|pty\.spawn|socket\.socket|socat\s|tcpsocket|telnet\s",
    ),
    _row(
        "powershell",
        r"(?i)\b(?:powershell|pwsh)(?:\.exe)?\b[^\n]{0,80}?\s-(?:e|en|enc|enco|encod\w*)\s+[A-Za-z0-9+/=]{16,}|\b(?:iex|invoke-expression)\b[^\n]{0,40}?(?:downloadstring|new-object\s+net\.webclient|invoke-webrequest|iwr)|downloadstring\s*\(\s*['\"]http|-w(?:indowstyle)?\s+hidden\s+[^\n]{0,40}-(?:e|enc)",
        r"(?i)powershell|pwsh|\biex\b|invoke-expression|downloadstring",
    ),
    _row(
        "powershell-enc",
        r"(?i)\b(?:powershell|pwsh)(?:\.exe)?\s+(?:-\w+\s+(?:\w+\s+)?){0,4}?-enc(?:odedcommand)?\b",
        r"(?i)\b(?:powershell|pwsh)",
    ),
    _row("shellshock", r"\(\)\s*\{\s*:?\s*;\s*\}\s*;", r"\(\)\s*\{"),
    _row(
        "persistence",
        r"(?i)[;|&]\s*echo\s+['\"][^'\"]{0,120}['\"]\s*\|\s*(?:crontab|at\s+now|bash|sh|tee\s+-?a?\s*/etc)|>>\s*(?:/etc/(?:passwd|shadow|sudoers|crontab)|~/\.(?:ssh/authorized_keys|bashrc))",
        r"(?i)crontab|at\s+now|/etc/(?:passwd|shadow|sudoers|crontab)|authorized_keys|\.bashrc|\|\s*(?:ba)?sh",
    ),
    _row("ifs", r"\$\{?IFS\}?\S*(?:/etc|passwd|cat|curl|wget|;|\|)|(?:cat|curl|wget|ls|nc)\$\{?IFS", r"\$\{?IFS"),
    _row(
        "php-exec",
        r"(?i)(?:<\?php\s+|^\s*;?|['\";{@]\s*)(?:@?(?:system|passthru|shell_exec|exec|popen|eval|assert)\s*\(\s*(?:\$_(?:GET|POST|REQUEST|COOKIE|SERVER)|['\"]\s*(?:cat|ls|id|whoami|uname|wget|curl|nc|rm|dir|usr|/)\b))",
        r"(?i)(?:system|passthru|shell_exec|exec|popen|eval|assert)\s*\(",
    ),
)

_WHOLE = (
    Rule("sql-payload", "sql", r"(?s)\A.*\z", r"['\"#@(]|--|/\*|%[0-9a-fA-F]|&#|(?i:\b(?:and|or|union|order|group|exec|declare|select)\b|\b0x[0-9a-f]{8}|\d-(?:true|false))", check=_sql_payload),
    Rule("sql-shell-payload", "sql", r"(?s)\A.*\z", r"[;|&`\\]|\$[({']|\(['\"]|\{\{|%[0-9a-fA-F]|%COMSPEC|<%=|<\?|<\{?cmd|<!--#", check=_shell_payload),
)  # fmt: skip
"""Texts that are nothing but a payload: a form's value, a tool's argument."""

RULES: tuple[Rule, ...] = (*_SQL, *_SHELL, *_WHOLE)
