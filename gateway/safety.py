"""The classifiers a configuration names."""

import logging
from collections.abc import Mapping, Sequence
from typing import Literal

from gateway.series import FleetCounter
from gateway.settings import Settings, SettingsError
from middleware.safety import unsafe_categories
from providers.classifiers.base import Assessment, Classifier
from providers.classifiers.chain import ClassifierChain
from providers.classifiers.gemini import GeminiClassifier
from providers.classifiers.lakera import BASE_URL, LakeraClassifier
from providers.classifiers.local import LocalClassifier
from providers.classifiers.openai_moderation import OpenAIModeration
from providers.client import Client
from providers.registry import ConfigProblem, service_from_environment

log = logging.getLogger(__name__)


def local_classifier(settings: Settings) -> LocalClassifier | None:
    """The one that judges answers: None when `SAFETY_PROVIDERS` leaves it out, or safety is off."""
    return LocalClassifier() if settings.enable_safety and "local" in settings.safety_providers else None


def local_chain(settings: Settings, client: Client, verdicts: FleetCounter) -> ClassifierChain:
    """The classifier inside the gateway alone: for callers who may not spend what the others cost."""
    return _chain([LocalClassifier()], settings, client, verdicts)


def safety_chain(
    settings: Settings, environment: Mapping[str, str], client: Client, verdicts: FleetCounter
) -> ClassifierChain | None:
    """The `configured` classifiers; None when there is none. A note about them is logged as well."""
    classifiers = configured(settings, environment)
    note = safety_note(settings, [classifier.name for classifier in classifiers])
    if note is not None:
        log.warning("safety: %s", note)
    return _chain(classifiers, settings, client, verdicts) if classifiers else None


def _chain(
    classifiers: Sequence[Classifier | LocalClassifier], settings: Settings, client: Client, verdicts: FleetCounter
) -> ClassifierChain:
    """Each verdict is counted as `TOXICITY_THRESHOLD` has it: a policy's own belongs to the request, not to it."""

    def count(name: str, outcome: Assessment | Literal["failed", "skipped"]) -> None:
        if isinstance(outcome, Assessment):
            verdicts.add(1, name, "unsafe" if unsafe_categories(outcome, settings.toxicity_threshold) else "safe")
        else:
            verdicts.add(1, name, outcome)

    return ClassifierChain(client, classifiers, timeout_s=settings.safety_timeout_ms / 1000, observe=count)


def configured(settings: Settings, environment: Mapping[str, str]) -> Sequence[Classifier | LocalClassifier]:
    """
    The classifiers of `SAFETY_PROVIDERS` that have keys or need none, in order; none when safety is off.

    They use the keys and addresses of the providers of the same name, whether or not those answer prompts too. Where
    none has a key and no text may pass unjudged, the local one judges. Raises `SettingsError`.
    """
    if not settings.enable_safety:
        return ()
    named = [_classifier(name, settings, environment) for name in settings.safety_providers]
    classifiers = [classifier for classifier in named if classifier is not None]
    if not classifiers and settings.safety_fail_mode == "closed":
        return (LocalClassifier(),)
    return classifiers


def safety_note(settings: Settings, names: Sequence[str]) -> str | None:
    """What an operator should know of the `configured` classifiers, None if they are such as were wanted."""
    if not settings.enable_safety:
        return None
    if not names:
        return "no classifier is configured: texts pass unjudged"
    if not set(names) <= set(settings.safety_providers):
        return "no classifier of SAFETY_PROVIDERS has a key: the local one judges"
    return None


def _classifier(name: str, settings: Settings, environment: Mapping[str, str]) -> Classifier | LocalClassifier | None:
    if name == "local":
        return LocalClassifier()
    if name == "lakera":
        if settings.lakera_api_key is None:
            return None
        return LakeraClassifier(api_key=settings.lakera_api_key, base_url=settings.lakera_base_url or BASE_URL)
    try:
        service = service_from_environment(name, environment)
    except ConfigProblem as error:
        raise SettingsError(error.problems) from None
    if service is None or service.api_key is None:
        return None
    if name == "gemini":
        return GeminiClassifier(base_url=service.base_url, api_key=service.api_key)
    return OpenAIModeration(base_url=service.base_url, api_key=service.api_key)


def safety_facts(settings: Settings, chain: ClassifierChain | None) -> dict[str, object]:
    """What `/health` says about it at this moment."""
    facts: dict[str, object] = {"enabled": settings.enable_safety, "classifiers": list(chain.names) if chain else []}
    if chain is not None:
        modes = {"mode": settings.safety_mode, "fail_mode": settings.safety_fail_mode}
        facts |= {**modes, "breakers": dict(chain.states)}
    note = safety_note(settings, chain.names if chain else ())
    return facts if note is None else facts | {"note": note}
