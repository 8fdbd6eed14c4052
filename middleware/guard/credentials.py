"""
Rules for secrets: keys with a shape of their own, and values that a name gives away.

The shapes follow the issuers' documentation and the published rules of gitleaks (MIT) and GitHub secret scanning. A key is believed by
its prefix and by the look of its rest; a bare hexadecimal string or UUID is never a secret without a name before it.
"""

# ruff: noqa: E501 (a pattern broken over lines is harder to compare with its source)

import base64
import binascii
import hashlib
import math
import re
import string
from collections import Counter

import re2

from middleware.guard.automaton import Automaton
from middleware.guard.rule import Check, Rule

_PLACEHOLDERS = (
    "your", "xxxx", "placeholder", "changeme", "change_me", "redacted", "<", ">", "...", "****", "####", "example_", "insert", "dummy",
    "goes_here", "goes-here", "0000000", "replace", "my_", "my-", "fake", "sample_", "todo", "_here", "-here", "exampleexample", "helloworld",
)  # fmt: skip


def entropy(value: str) -> float:
    """Shannon entropy of the characters, in bits per character (C. E. Shannon, 1948)."""
    size = len(value)
    return -sum(n / size * math.log2(n / size) for n in Counter(value).values()) if size else 0.0


def _blank(value: str) -> bool:
    """Signs that stand for the key to be put there."""
    low = value.lower()
    return len(set(low)) < min(6, len(low) - 1) or _INSTEAD.spans(low.encode("utf-8", "replace")) is not None


def _placeholder(value: str) -> bool:
    """
    Such signs, or letters in the alphabet's order. Behind an issuer's own prefix the latter are believed: an example
    that is refused is no loss, and it is by examples that people try a guard.
    """
    return _blank(value) or _TYPED.spans(value.lower().encode("utf-8", "replace")) is not None


_RUN = 7
"""
Letters that follow each other ("abcdefg") or signs that are the same: typed by hand. Seven drawn by lot do so once in
a thousand million keys.
"""
_IN_ORDER = [string.ascii_lowercase[i : i + _RUN] for i in range(len(string.ascii_lowercase) - _RUN + 1)]
_SAME = [c * _RUN for c in string.ascii_lowercase + string.digits + "_-+/="]
_INSTEAD = Automaton("|".join(map(re2.escape, (*_PLACEHOLDERS, *_SAME))))
_TYPED = Automaton("|".join(_IN_ORDER))


def _cut_short(before: str, after: str) -> bool:
    """Inside a longer run of base64, or followed by signs put in place of the rest."""
    return (
        before[-1:] == "+"
        or after.startswith(("#", "*", "…", "..."))
        or (before[-1:] == "/" and after[:1] in ("/", "+"))
    )


def _published(value: str) -> bool:
    """Keys printed in the issuers' own samples. As digests, so that this file holds no key."""
    return hashlib.sha256(value.encode()).hexdigest()[:16] in _SAMPLES


_SAMPLES: frozenset[str] = frozenset(
    (
        "0b476bdf9acf2123",
        "27a9a42931dff7eb",
        "37f8f09bdf12c2f2",
        "3f370c9dd8225c63",
        "49f777db995e8260",
        "4c98242dcadc8b29",
        "8731261cb72d8626",
        "a19f89ab3555eac1",
        "dc0fcf046c61640c",
        "e4a5542bb7fd7b67",
        "ea9bb1082cf95663",
        "eb540d2b6ee2a0a4",
        "f56e323494a6ffc2",
    )
)
"""Google: the projects of firebase-android-sdk's tests and samples, as gitleaks (MIT) documents them for false alarms."""


def _varied(value: str, before: str, after: str) -> bool:
    """Not `sk-xxxxxxxx` nor `<your key>`."""
    return not _blank(value) and not _cut_short(before, after)


def _anthropic(value: str, before: str, after: str) -> bool:
    """Look-alikes in the alphabet's order are common among the samples of scanners."""
    return _varied(value, before, after) and not _placeholder(value)


def _openai(value: str, before: str, after: str) -> bool:
    return _random(value, before, after) and not value.startswith("sk-ant-")


def _google(value: str, before: str, after: str) -> bool:
    return _varied(value, before, after) and not _published(value)


def _random(value: str, before: str, after: str) -> bool:
    """For short prefixes: the rest must look drawn by lot, with digits among its letters."""
    return (
        not _blank(value)
        and not _cut_short(before, after)
        and any(c.isdigit() for c in value)
        and entropy(value) >= 3.0
    )


_UUID_DASHES = (8, 13, 18, 23)


def _is_uuid(value: str) -> bool:
    return len(value) == 36 and all(value[i] == "-" for i in _UUID_DASHES)


def _worded(value: str) -> bool:
    """Made of words: `X25519.secret_length`, `id-Gost28147-None-KeyMeshing`. A drawn string seldom holds two runs of letters in one case."""
    return len(_WORDS.findall(value)) >= 2 and (entropy(value) < 4.3 or len(_PARTS.split(value)) >= 4)


_FILE_NAME = re2.compile(r"\.[a-z]{3,12}$")
_PARTS = re.compile(r"[-_.]")
_WORDS = re.compile(r"(?<![A-Za-z0-9])[A-Z]?[a-z]{2,}(?![a-z0-9])")
_PUBLIC = (
    "public",
    "pubkey",
    "csrf",
    "xsrf",
    "primary",
    "foreign",
    "partition",
    "keyword",
    "keystr",
    "alphabet",
    "checksum",
    "digest",
    "sha1",
    "sha256",
    "md5",
)


_TOLD = 200
"""Characters of a value that tell whether it was drawn by lot."""


def _assigned(value: str, before: str, after: str) -> bool:
    """
    A value assigned to a secret's name: long enough, mixed enough, not code that fetches it.

    3.0 bits per character separates words and names from drawn strings of 16 characters; gitleaks' generic rule asks 3.5 of longer ones.
    """
    value = value[:_TOLD]
    letters, digits = sum(map(str.isalpha, value)), sum(map(str.isdigit, value))
    if digits < 2 or letters < 2 or after.startswith(("(", "[")) or "12345678" in value or _is_uuid(value):
        return False
    if _placeholder(value) or entropy(value) < 3.0 or _worded(value):
        return False
    before = before.lower()
    if any(word in before for word in _PUBLIC):
        return False
    if _FILE_NAME.search(value):
        return False
    # a path, a dotted name or a word with a number, not a drawn string
    return not ("/" in value and "." in value) and not value.startswith(
        ("$", "/", "./", "http", "process.", "os.", "env.")
    )


def _vendor_key(value: str, before: str, after: str) -> bool:
    """Behind a vendor's name a UUID is a key too."""
    value = value[:_TOLD]
    if _is_uuid(value):
        return not _placeholder(value)
    return _assigned(value, before, after) and sum(c.isdigit() for c in value) >= 3 and "." not in value


_PASSWORD_WORDS = (
    "getpass",
    "environ",
    "process",
    "config",
    "request",
    "password",
    "secret",
    "null",
    "none",
    "true",
    "false",
    "string",
    "input",
)


def _password(value: str, before: str, after: str) -> bool:
    """Three of the four classes lower, upper, digit, other; or quoted with letters and digits in at least ten characters."""
    low = value.lower()
    if after[:1] == "(" or value[0] in "$%{<[(&" or _placeholder(value) or any(word in low for word in _PASSWORD_WORDS):
        return False
    classes = (value != value.upper()) + (value != low) + any(map(str.isdigit, value)) + (not value.isalnum())
    if "(" in value or ")" in value or ("." in value.strip(".") and classes < 4):
        return False
    return entropy(value) >= 2.5 and (
        classes >= 3 or (classes == 2 and len(value) >= 10 and any(c.isdigit() for c in value))
    )


def _url_password(value: str, before: str, after: str) -> bool:
    """A variable in place of the password is how it should be done."""
    return (
        value.lower().rpartition(":")[2] not in ("password", "pass", "pwd", "passwd", "secret", "user", "x", "xxx")
        and not _placeholder(value)
        and value[0] not in "$%{<[*:"
    )


def _jwt(value: str, before: str, after: str) -> bool:
    """RFC 7519 §3: the first part is base64url of a JSON object."""
    head = value.split(".", 1)[0]
    try:
        return base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)).lstrip().startswith(b"{")
    except (ValueError, binascii.Error):
        return False


def _key_body(value: str, before: str, after: str) -> bool:
    """A frame around nothing is no key. One whose end is missing is, as soon as it has a line of one."""
    body = value.partition("KEY")[2].partition("-----END")[0]
    return "-----END" not in value or "MII" in body or sum(c.isalnum() for c in body) >= 40


def _row(slug: str, pattern: str, trigger: str = "", check: Check | None = _varied) -> Rule:
    return Rule(f"secret-{slug}", "secret", pattern, trigger, type="api_key", check=check)


_B = r"[A-Za-z0-9_-]"
_PREFIXED = (
    # language model providers
    _row("anthropic", rf"\bsk-ant-(?:api\d\d-|admin\d\d-|oat\d\d-|sid\d\d-)?{_B}{{20,}}", r"sk-ant-", _anthropic),
    _row("openai", r"\bsk-(?:proj-|svcacct-|admin-|None-)?[A-Za-z0-9_-]{20,}", r"\bsk-[A-Za-z0-9]", _openai),
    _row("openrouter", r"\bsk-or-(?:v\d-)?[A-Za-z0-9]{32,}", r"sk-or-"),
    _row("sk", r"\b(?:sk|rk|pk|whsec)_(?:live_|test_|prod_|org_)?[A-Za-z0-9]{16,}", r"\b(?:sk|rk|pk|whsec)_"),
    _row("google", rf"\bAIza{_B}{{35}}", r"AIza", _google),
    _row("google-oauth", rf"\bGOCSPX-{_B}{{28}}|\bya29\.{_B}{{30,}}|\b1//0{_B}{{40,}}", r"GOCSPX-|ya29\.|1//0"),
    _row("groq", r"\bgsk_[A-Za-z0-9]{32,}", r"gsk_"),
    _row("huggingface", r"\b(?:hf|api_org)_[A-Za-z0-9]{30,}", r"hf_|api_org_", _random),
    _row("xai", r"\bxai-[A-Za-z0-9]{40,}", r"xai-"),
    _row("fireworks", r"\bfw_[A-Za-z0-9]{20,}", r"fw_", _random),
    _row("cerebras", r"\bcsk-[A-Za-z0-9]{32,}", r"csk-"),
    _row("perplexity", r"\bpplx-[A-Za-z0-9]{32,}", r"pplx-"),
    _row("replicate", r"\br8_[A-Za-z0-9]{30,}", r"r8_"),
    _row("nvidia", rf"\bnvapi-{_B}{{40,}}", r"nvapi-"),
    _row("langsmith", r"\blsv2_(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10}", r"lsv2_"),
    _row("tavily", r"\btvly-[A-Za-z0-9-]{20,}", r"tvly-"),
    _row("gateway", r"\bgw_[A-Za-z0-9]{4,}_[A-Za-z0-9_-]{20,}", r"gw_"),
    # code hosts and package registries
    _row("github", r"\bgh[pousr]_[A-Za-z0-9]{30,}|\bgithub_pat_[A-Za-z0-9_]{40,}", r"gh[pousr]_|github_pat_"),
    _row(
        "gitlab",
        rf"\b((?:glpat|gldt|glrt|glft|glsoat|glffct|glrtr|glwt)-(?:t\d_)?{_B}{{20}}|glcbt-(?:[0-9a-zA-Z]{{1,5}}_)?{_B}{{20}}|glptt-[0-9a-f]{{40}}|glimt-{_B}{{25}}|glagent-{_B}{{50,}}|gloas-{_B}{{64}})(?:[^\w-]|\z)"
        rf"|\bgl(?:pat|rt)-{_B}{{27,300}}\.[0-9a-z]{{2}}[0-9a-z]{{7}}\b|\bGR1348941{_B}{{20}}|_gitlab_session=[0-9a-z]{{32}}",
        r"\bgl(?:pat|dt|cbt|rt|ptt|ft|imt|agent|oas|soat|ffct|rtr|wt)-|GR1348941|_gitlab_session=",
        _random,
    ),
    _row("npm", r"\bnpm_[A-Za-z0-9]{30,}", r"npm_"),
    _row("pypi", rf"\bpypi-{_B}{{100,}}", r"pypi-"),
    _row("rubygems", r"\brubygems_[0-9a-f]{48}", r"rubygems_"),
    _row("clojars", r"(?i)\bCLOJARS_[a-z0-9]{60}", r"(?i)clojars_"),
    _row("artifactory", r"\bAKC[a-zA-Z0-9]{10,}|\bcmVmd[A-Za-z0-9]{59}\b", r"\bAKC[a-zA-Z0-9]|\bcmVmd", _random),
    _row("sourcegraph", r"\bsgp_(?:[0-9a-fA-F]{16}|local)_[0-9a-fA-F]{40}|\bsgp_[0-9a-fA-F]{40}\b", r"sgp_"),
    # clouds
    _row(
        "aws-access-key",
        r"\b(?:AKIA|ASIA|ABIA|ACCA|AROA|AIDA)[A-Z0-9]{16}\b",
        r"\bA(?:KIA|SIA|BIA|CCA|ROA|IDA)[A-Z0-9]",
    ),
    _row(
        "aws-secret-key",
        r"(?i)aws[\w .-]{0,20}(?:secret|access|key|token)[\w .-]{0,20}['\"]?\s*(?:=|:|=>|:=|is)\s*['\"]?([A-Za-z0-9/+]{40})(?:[^A-Za-z0-9/+=]|\z)",
        r"(?i)aws",
    ),
    _row(
        "aws-bedrock",
        r"\bABSK[A-Za-z0-9+/]{100,}={0,2}|\bbedrock-api-key-[A-Za-z0-9+/=]{20,}",
        r"ABSK|bedrock-api-key-",
    ),
    _row(
        "azure-storage",
        r"(?i)Acc(?:ount)?[a-z]*Key\s*=\s*([A-Za-z0-9+/]{60,88}={0,2})|\bAcc\w+=([A-Za-z0-9+/]{80,88}==)",
        r"(?i)\bacc[a-z]*(?:key|=)",
    ),
    _row("azure-ad", r"(?:^|[\s'\"`>=:(,])([A-Za-z0-9_~.]{3}\dQ~[A-Za-z0-9_~.-]{31,34})(?:[\s'\"`<),]|\z)", r"\dQ~"),
    _row("azure-sas", r"(?i)[?&]sig=([A-Za-z0-9%/+]{40,}(?:%3D|=))", r"(?i)[?&]sig="),
    _row("gcp-service-account", r"\"private_key_id\"\s*:\s*\"([0-9a-f]{40})\"", r"\"private_key_id\""),
    _row("digitalocean", r"\bdo[opr]_v1_[0-9a-f]{64}", r"do[opr]_v1_"),
    _row("heroku", rf"\bHRKU-{_B}{{36,}}", r"HRKU-"),
    _row("alibaba", r"\bLTAI[A-Za-z0-9]{17,22}\b", r"LTAI", _random),
    _row("tencent", r"\bAKID[A-Za-z0-9]{32}\b", r"AKID"),
    _row(
        "yandex",
        rf"\bAQVN[A-Za-z0-9_-]{{35,38}}|\bYC[A-Za-z0-9_-]{{38}}\b|\bt1\.[A-Z0-9a-z_-]+={{0,2}}\.{_B}{{86}}={{0,2}}",
        r"AQVN|\bYC[A-Za-z0-9_-]|\bt1\.",
        _random,
    ),
    _row("planetscale", r"\bpscale_(?:tkn|pw|oauth)_[A-Za-z0-9=._-]{30,}", r"pscale_"),
    _row("doppler", r"\bdp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9]{40,}", r"\bdp\.(?:pt|st|ct|sa|scim|audit)\."),
    _row("vault", rf"\b(?:hvs|hvb)\.{_B}{{24,}}|\bs\.[A-Za-z0-9]{{24}}\b", r"\bhv[sb]\.|\bs\.[A-Za-z0-9]", _random),
    _row("terraform", r"(?i)\b[a-z0-9]{14}\.atlasv1\.[a-z0-9=_-]{60,}", r"(?i)\.atlasv1\."),
    _row("pulumi", r"\bpul-[0-9a-f]{40}", r"pul-"),
    _row("databricks", r"\bdapi[0-9a-f]{32}(?:-\d)?", r"dapi"),
    _row("cloudflare-origin", r"\bv1\.0-[0-9a-f]{24}-[0-9a-f]{146}", r"v1\.0-"),
    _row("fly", r"\bfo1_[\w-]{43}|\bfm[12][ar]?_[A-Za-z0-9+/]{100,}", r"fo1_|fm[12][ar]?_"),
    _row("age", r"\bAGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}", r"AGE-SECRET-KEY-1"),
    _row(
        "1password",
        r"\bA3-[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})-[A-Z0-9]{5}-[A-Z0-9]{5}-[A-Z0-9]{5}|\bops_eyJ[A-Za-z0-9+/]{200,}",
        r"\bA3-|ops_eyJ",
    ),
    _row("octopus", r"\bAPI-[A-Z0-9]{26}\b", r"\bAPI-[A-Z0-9]", _random),
    _row("harness", r"\b(?:pat|sat)\.[A-Za-z0-9_-]{22}\.[0-9a-zA-Z]{24}\.[A-Za-z0-9]{20}", r"\b(?:pat|sat)\."),
    _row("openshift", rf"\bsha256~{_B}{{43}}", r"sha256~"),
    # messaging
    _row(
        "slack",
        r"\bxox[abeprs]-[0-9A-Za-z][A-Za-z0-9-]{16,}|\bxox[ep]\.xox[bp]-\d-[A-Za-z0-9]{30,}|\bxoxe-\d-[A-Za-z0-9]{30,}|\bxapp-\d-[A-Z0-9]+-\d+-[a-z0-9]+",
        r"xox[abeprs][-.]|xapp-",
        _random,
    ),
    _row(
        "slack-webhook", r"hooks.slack.com/(?:services|workflows|triggers)/([A-Za-z0-9+/]{40,56})", r"hooks.slack.com/"
    ),
    _row(
        "discord",
        r"\b[MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,40}",
        r"\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]",
        _random,
    ),
    _row("discord-webhook", r"discord(?:app)?\.com/api/webhooks/\d{17,20}/([A-Za-z0-9_-]{60,})", r"/api/webhooks/"),
    _row(
        "teams-webhook",
        r"webhook\.office\.com/webhookb2/([0-9a-f-]{36}@[0-9a-f-]{36}/IncomingWebhook/[0-9a-f]{32})",
        r"/webhookb2/",
        None,
    ),
    _row(
        "telegram",
        r"(?:^|[^A-Za-z0-9])(\d{5,16}:A[A-Za-z0-9_-]{34})(?:[^A-Za-z0-9_-]|\z)",
        r"\d:A[A-Za-z0-9_-]",
        _random,
    ),
    _row("sendgrid", rf"\bSG\.{_B}{{20,24}}\.{_B}{{39,50}}", r"\bSG\."),
    _row("twilio", r"\b(?:SK|AC)[0-9a-fA-F]{32}\b", r"\b(?:SK|AC)[0-9a-fA-F]", _random),
    _row("mailgun", r"\b(?:key|pubkey)-[0-9a-f]{32}\b", r"key-[0-9a-f]"),
    _row("mailchimp", r"\b[0-9a-f]{32}-us\d{1,2}\b", r"[0-9a-f]-us\d"),
    _row("sendinblue", r"\bxkeysib-[0-9a-f]{64}-[A-Za-z0-9]{16}", r"xkeysib-"),
    # shops, payment, tools
    _row("shopify", r"\bshp(?:at|ca|pa|ss|tka)_[0-9a-fA-F]{32}", r"shp(?:at|ca|pa|ss|tka)_"),
    _row("square", r"\b(?:EAAA|sq0atp-|sq0csp-)[A-Za-z0-9_=+/-]{20,}", r"\bEAAA|sq0(?:atp|csp)-"),
    _row("flutterwave", r"\bFLW(?:PUB|SEC)K_TEST-?[0-9a-hA-H]{12,}(?:-X)?", r"FLW(?:PUB|SEC)K"),
    _row("easypost", r"\bEZ[AT]K[A-Za-z0-9]{54}", r"\bEZ[AT]K"),
    _row("shippo", r"\bshippo_(?:live|test)_[0-9a-fA-F]{40}", r"shippo_"),
    _row("adobe", r"\bp8e-[A-Za-z0-9]{32}", r"p8e-"),
    _row(
        "grafana",
        r"\bglsa_[A-Za-z0-9]{32}_[0-9A-Fa-f]{8}|\bglc_[A-Za-z0-9+/]{32,}={0,2}|\beyJrIjoi[A-Za-z0-9]{60,}={0,2}",
        r"glsa_|glc_|eyJrIjoi",
    ),
    _row("linear", r"\blin_(?:api|oauth)_[A-Za-z0-9]{40}", r"lin_(?:api|oauth)_"),
    _row("postman", r"\bPMAK-[0-9a-fA-F]{24}-[0-9a-fA-F]{34}", r"PMAK-"),
    _row("newrelic", r"\bNRAK-[A-Z0-9]{27}|\bNRJS-[0-9a-f]{19}|\bNRII-[A-Za-z0-9-]{32}", r"(?i)\bNR(?:AK|JS|II)-"),
    _row("dynatrace", r"(?i)\bdt0c01\.[A-Z0-9]{24}\.[A-Z0-9]{64}", r"(?i)dt0c01\."),
    _row("sentry", r"\bsntry[su]_[A-Za-z0-9+/=_]{40,}", r"sntry[su]_"),
    _row("airtable", r"\bpat[A-Za-z0-9]{14}\.[0-9a-f]{64}", r"\bpat[A-Za-z0-9]{14}\.", _random),
    _row("asana-notion", r"\b(?:ntn|secret)_[A-Za-z0-9]{40,}", r"ntn_|secret_"),
    _row("atlassian", r"\bATATT3[A-Za-z0-9_=-]{100,}|\bATCTT3[A-Za-z0-9_=-]{60,}", r"AT[AC]TT3"),
    _row("typeform", r"\btfp_[A-Za-z0-9_.=-]{40,}", r"tfp_"),
    _row("readme", r"\brdme_[a-z0-9]{70}", r"rdme_"),
    _row("prefect", r"\bpnu_[a-z0-9]{36}", r"pnu_"),
    _row("duffel", r"\bduffel_(?:test|live)_[A-Za-z0-9_=-]{40,}", r"duffel_"),
    _row("frameio", r"\bfio-u-[A-Za-z0-9_=-]{60,}", r"fio-u-"),
    _row("maxmind", r"\b[A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk\b", r"_mmk"),
    _row(
        "mapbox",
        r"\b[ps]k\.eyJ[A-Za-z0-9_-]{40,}\.[A-Za-z0-9_-]{20,}|\bpk\.[a-z0-9]{60}\.[a-z0-9]{22}",
        r"\b[ps]k\.[A-Za-z0-9]",
        _random,
    ),
    _row(
        "plaid",
        r"\baccess-(?:sandbox|development|production)-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        r"access-(?:sandbox|development|production)-",
    ),
    _row("settlemint", r"\bsm_(?:aat|pat|sat)_[A-Za-z0-9]{16,}", r"sm_(?:aat|pat|sat)_"),
    _row("defined-networking", r"\bdnkey-[A-Za-z0-9=_-]{26}-[A-Za-z0-9=_-]{52}", r"dnkey-"),
    _row(
        "authress",
        r"\b(?:sc|ext|scauth|authress)_[A-Za-z0-9]{5,30}\.[A-Za-z0-9]{4,6}\.acc[_-][A-Za-z0-9-]{10,32}\.[A-Za-z0-9+/_=-]{30,120}",
        r"\.acc[_-]",
    ),
    _row(
        "facebook",
        r"\bEAA[MC][A-Za-z0-9]{100,}|\b\d{15,16}(?:\||%7[cC])[0-9a-zA-Z_-]{27,40}",
        r"EAA[MC]|\d(?:\||%7[cC])[0-9a-zA-Z]",
        _random,
    ),
    _row("twitter-bearer", r"\bA{20}[A-Za-z0-9%]{60,100}", r"\bAAAAAAAAAA", None),
    _row(
        "new-token",
        r"\b(?:CLOJARS|figd|ory_at|ory_rt|phc|phx|rnd|sbp|supabase|vercel|whsec|cio|pat-na1|pat-eu1|dckr_pat|dckr_oat|sqp|squ|sqa|infracost|ico|bkua|buildkite|lob|live|secret|token)[_-][A-Za-z0-9]{36,}\b",
        r"(?:figd|ory_[ar]t|phc|phx|rnd|sbp|supabase|vercel|whsec|cio|pat-(?:na|eu)1|dckr_[po]at|sq[pua]|infracost|ico|bkua|buildkite|lob|live|secret|token)[_-][A-Za-z0-9]",
        _random,
    ),
    _row("lob", r"\b(?:test|live)_(?:pub_)?[0-9a-f]{31,35}\b", r"(?:test|live)_(?:pub_)?[0-9a-f]"),
    # documents and headers
    _row("jwt", r"\bey[A-Za-z0-9]{14,}\.[A-Za-z0-9_/\\-]{15,}\.?[A-Za-z0-9_/\\+=-]*", r"\bey[A-Za-z0-9]", _jwt),
    _row(
        "private-key",
        r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?:[\sA-Za-z0-9+/=:,.\\]|-[A-Za-z])*(?:-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----)?",
        r"PRIVATE KEY",
        _key_body,
    ),
    _row("putty-key", r"PuTTY-User-Key-File-\d", "", None),
    _row(
        "url-password",
        r"\b[A-Za-z][A-Za-z0-9+.-]{1,20}://[^\s/:@\"'<>]{0,80}:([^\s/@\"'<>]{2,120})@[A-Za-z0-9\[]",
        r"://[^\s/@]*@",
        _url_password,
    ),
    _row(
        "basic-auth",
        r"(?i)\bauthorization['\"]?\s*[:=]\s*['\"]?basic\s+([A-Za-z0-9+/]{10,}={0,2})",
        r"(?i)\bbasic\s+[A-Za-z0-9+/]",
    ),
    _row(
        "bearer",
        r"(?i)\b(?:authorization['\"]?\s*[:=]\s*['\"]?)?bearer\s+([A-Za-z0-9_.~+/=-]{24,})",
        r"(?i)\bbearer\s+[A-Za-z0-9]",
        _random,
    ),
    _row(
        "curl-user",
        r"(?i)\bcurl\b[^\n]*?\s(?:-u|--user)[ =]?['\"]?([^\s:'\"$]{1,40}:[^\s'\"$]{3,})",
        r"\s(?:-u|--user)[ ='\"]",
        _url_password,
    ),
    _row(
        "npm-auth",
        r":_auth\w*=['\"]?([A-Za-z0-9_+/=-]{12,})",
        r":_auth",
        lambda v, b, a: not _placeholder(v) and not _is_uuid(v),
    ),
    _row("nuget-password", r"(?i)<add\s+key=\"(?:ClearText)?Password\"\s+value=\"(.{8,80})\"\s*/>", r"(?i)<add\s+key="),
)

_NAME = (
    r"(?:api[_ .-]?key|apikey|api[_ .-]?token|api[_ .-]?secret|secret[_ .-]?key|secret[_ .-]?access[_ .-]?key|access[_ .-]?key|access[_ .-]?token|auth[_ .-]?token|auth[_ .-]?key"
    r"|client[_ .-]?secret|consumer[_ .-]?secret|app[_ .-]?secret|private[_ .-]?key|encryption[_ .-]?key|signing[_ .-]?key|license[_ .-]?key|service[_ .-]?key|account[_ .-]?key"
    r"|refresh[_ .-]?token|session[_ .-]?token|id[_ .-]?token|bot[_ .-]?token|webhook[_ .-]?secret|credentials?|secret|token|key)"
)
_ASSIGN = r"['\"`]?\s*(?:=>|:=|\|\|:|:{1,2}|={1,3}|\bis\b)\s*['\"`]?"
_VENDORS = (
    r"(?:adobe|algolia|alibaba|asana|atlassian|auth0|bitbucket|bittrex|cloudflare|codecov|cohere|co_api_key|coinbase|confluent|contentful|datadog|discord|drone|droneci|dropbox|etsy|facebook|finicity|finnhub"
    r"|flickr|freshbooks|gocardless|heroku|hubspot|intercom|jfrog|artifactory|kraken|kucoin|launchdarkly|linear|linked[_-]?in|looker|mailchimp|mailgun|mapbox|mattermost|message[_-]?bird|netlify|new-?relic"
    r"|new_relic|newrelic|nytimes|new-?york-?times|newyorktimes|okta|pagerduty|plaid|private[_-]?ai|rapidapi|sendbird|sentry|shippo|snyk|squarespace|sumologic|sumo_|telegr(?:am)?|travis|twilio|twitch|twitter|typeform|yandex|zendesk|openai|azure|jira|confluence)"
)

_NAMED = (
    _row(
        "assignment",
        rf"(?i)\b[\w.-]{{0,40}}?{_NAME}[\w.-]{{0,20}}{_ASSIGN}([A-Za-z0-9_+/=.~@!#%^&*-]{{16,}})",
        r"(?i)(?:key|token|secret|credentials?)\w*['\"`]?\s*(?:=|:|\|\||is\b)\s*['\"`]?[A-Za-z0-9_+/~@!#%^&*-]",
        _assigned,
    ),
    _row(
        "password",
        r"(?i)(?:pass(?:word|wd|phrase|code)?|pwd|pw)['\"`]?\s*(?:=>|:=|:|={1,3}|\bis\b)\s*(?:['\"`]([^\s'\"`]{8,128})['\"`]|([^\s'\"`,;()<>]{8,128}))",
        r"(?i)(?:pass(?:word|wd|phrase|code)?|pwd|pw)['\"`]?\s*(?:=|:|is\b)",
        _password,
    ),
    # gitleaks' vendor rules: the vendor's name shortly before an operator and a drawn string
    _row(
        "vendor",
        rf"(?i){_VENDORS}[\w .-]{{0,20}}[\s'\"`]{{0,3}}(?:=>|:{{1,3}}=|\|\|:|\|\|={{0,2}}|\?=|:|=|>|,)[^A-Za-z0-9]{{0,6}}([A-Za-z0-9_=@/+.-]{{14,}})",
        rf"(?i){_VENDORS}",
        _vendor_key,
    ),
)

RULES: tuple[Rule, ...] = (*_PREFIXED, *_NAMED)
