"""All the guard's rules. Each row's id is stable: it appears in verdicts, audit records and operators' dashboards."""

from middleware.guard import commands, credentials, injection, injection_abroad, pii
from middleware.guard.rule import Rule

RULES: tuple[Rule, ...] = (*injection.RULES, *injection_abroad.RULES, *credentials.RULES, *commands.RULES, *pii.RULES)
