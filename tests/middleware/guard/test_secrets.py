"""
Keys by their shape, values by their name; nothing that only looks long. The keys are put together here, so that no
scanner of repositories reports them.
"""

import random
import string

import pytest

from middleware.guard.guard import Guard

GUARD = Guard(injection="off", pii="off", secrets="block", sql="off")

_drawn = random.Random(7)


def drawn(size: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    return (
        "a1B2c3" + "".join(_drawn.choices(alphabet, k=size - 6))
        if size > 6
        else "".join(_drawn.choices(alphabet, k=size))
    )


HEX = "0123456789abcdef"
UPPER = string.ascii_uppercase + string.digits


def hexadecimal(size: int) -> str:
    return "".join(_drawn.choices(HEX, k=size))


def upper(size: int) -> str:
    return "".join(_drawn.choices(UPPER, k=size))


@pytest.mark.parametrize(
    ("rule", "key"),
    [
        # language model providers
        ("openai", "sk-" + drawn(48)),
        ("openai", "sk-proj-" + drawn(64)),
        ("sk", "sk_live_" + "1234567890abcdef"),
        ("sk", "sk_test_" + drawn(24)),
        ("sk", "sk_" + drawn(20)),
        ("anthropic", "sk-ant-api03-" + drawn(90)),
        ("google", "AIza" + drawn(35)),
        ("groq", "gsk_" + drawn(52)),
        ("openrouter", "sk-or-v1-" + hexadecimal(64)),
        ("huggingface", "hf_" + drawn(34)),
        ("xai", "xai-" + drawn(80)),
        ("fireworks", "fw_" + drawn(24)),
        ("cerebras", "csk-" + drawn(48)),
        ("gateway", "gw_k1a2b3_" + drawn(43)),
        # code hosts and registries
        ("github", "ghp_" + drawn(36)),
        ("github", "gho_" + drawn(36)),
        ("github", "github_pat_" + drawn(82)),
        ("gitlab", "glpat-" + drawn(20)),
        ("npm", "npm_" + drawn(36)),
        ("pypi", "pypi-" + drawn(160)),
        # examples as people write them to try a guard
        ("sk", "sk_" + "1234567890abcdefghij"),
        ("openai", "sk-" + "1234567890abcdefghijklmnopqrstuv"),
        ("github", "ghp_" + "1234567890abcdefghijklmnopqrstuvwxyz"),
        # clouds
        ("aws-access-key", "AKIA" + upper(16)),
        ("aws-access-key", "ASIA" + upper(16)),
        ("digitalocean", "dop_v1_" + hexadecimal(64)),
        ("databricks", "dapi" + hexadecimal(32)),
        # messaging, shops
        ("slack", "xoxb-" + "123456789012-" + drawn(24)),
        ("sendgrid", "SG." + drawn(22) + "." + drawn(43)),
        ("twilio", "SK" + hexadecimal(32)),
        ("telegram", "123456789:A" + drawn(34)),
        ("discord", "M" + drawn(25) + "." + drawn(6) + "." + drawn(38)),
        ("shopify", "shpat_" + hexadecimal(32)),
        # documents
        ("jwt", "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0NTY3ODkwIn0" + "." + drawn(43)),
        ("private-key", "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----"),
    ],
)
def test_keys_by_shape(rule: str, key: str) -> None:
    """Found in a sentence and masked whole."""
    text = f"My key is {key} , keep it."
    report = GUARD.scan(text)
    assert f"secret-{rule}" in report.secrets
    assert report.pii == {"api_key": 1}
    assert report.masked(text) == "My key is [API_KEY_1] , keep it."
    verdict = GUARD.inspect([text])
    assert (verdict.outcome, verdict.code, verdict.reasons, verdict.types) == (
        "block",
        "secret_detected",
        ("secret",),
        {"api_key": 1},
    )


@pytest.mark.parametrize(
    "text",
    [
        # names
        "aws_secret_access_key = " + drawn(40),
        'api_key = "' + drawn(32) + '"',
        "API_KEY: " + hexadecimal(32),
        "client_secret=" + drawn(30),
        'password = "Tr0ub4dor&3x"',
        "my password is Xk9#mP2$vL",
        "heroku_api_key = " + hexadecimal(32),
        "squarespace token = 3b84da85-7509-b294-e2e0-0d448a01c5b1",
        "lobKey = test_pub_" + hexadecimal(31),
        # addresses and headers
        "postgres://admin:s3cr3tPw9@db.example.com:5432/app",
        "https://bob:hunter2x@example.com/",
        "Authorization: Basic " + "YWRtaW46czNjcjN0UHc5",
        "Authorization: Bearer " + drawn(40),
        "AccountKey=" + drawn(86) + "==",
        '"private_key_id": "' + hexadecimal(40) + '"',
    ],
)
def test_values_by_name(text: str) -> None:
    """A drawn string behind a name that says what it is."""
    report = GUARD.scan(text)
    assert report.secrets
    assert report.pii["api_key"] >= 1


def test_a_long_value_is_masked_whole() -> None:
    """However long what is behind the name."""
    text = f"api_key = {drawn(5_000)} , keep it."
    assert GUARD.scan(text).masked(text) == "api_key = [API_KEY_1] , keep it."


@pytest.mark.parametrize(
    "text",
    [
        # placeholders
        "sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "api_key = your_api_key_here",
        "export OPENAI_API_KEY=<your key here>",
        'password = "changeme"',
        "password = getpass.getpass()",
        "api_key = os.environ['API_KEY']",
        "token: ${{ secrets.GITHUB_TOKEN }}",
        "postgres://user:password@localhost/db",
        "postgres://user:$PASSWORD@localhost/db",
        # long, but nobody's secret
        "commit 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b",
        "id 123e4567-e89b-12d3-a456-426614174000",
        "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "secret_length = X25519.secret_length",
        "the key is in the door and the token is on the table",
        "risk-assessment-of-the-year-2024",
        # typed by hand, cut short, or nothing in the frame
        "sk-ant-api03-" + "abc123xyz-456def789ghij-klmnopqrstuvwx-3456yza789bcde",
        "glpat-" + "helloWorld0123456789",
        "glc_" + "1" * 42 + "=",
        "token: xoxp-572370529330-573807301142-572331691188-################",
        "AccountKey=" + "x" * 86 + "==",
        "...6wqX6fNUXA/rYqRvfQ+" + "EZTK" + drawn(54) + "23lkqbbDWep95C...",
        "-----BEGIN PRIVATE " + "KEY-----\nanything\n-----END PRIVATE KEY-----",
        'const name = "id-Gost28147-89-None-KeyMeshing"',
        '<TAR key="REF_ID_923.properties" value="/opts/config/alias/"/>',
        'curl --user "username:password" https://example.com',
        # what only begins like one
        "glagent-" + drawn(20),
        "sgp_" + "78Ad84a5B6e8A2fE5B_4085FB0ccaDDd29DB66Fd7F",
    ],
)
def test_no_secret(text: str) -> None:
    """Placeholders, code that fetches a secret, hashes and identifiers pass."""
    assert GUARD.inspect([text]).outcome == "pass"
