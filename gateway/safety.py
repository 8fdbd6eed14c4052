"""The classifiers a configuration names."""

from collections.abc import Mapping

from gateway.settings import Settings, SettingsError
from providers.classifiers.base import Classifier
from providers.classifiers.chain import ClassifierChain
from providers.classifiers.gemini import GeminiClassifier
from providers.classifiers.lakera import BASE_URL, LakeraClassifier
from providers.classifiers.local import LocalClassifier
from providers.classifiers.openai_moderation import OpenAIModeration
from providers.client import Client
from providers.registry import ConfigProblem, service_from_environment


def local_classifier(settings: Settings) -> LocalClassifier | None:
    """The one that judges answers: None when `SAFETY_PROVIDERS` leaves it out, or safety is off."""
    return LocalClassifier() if settings.enable_safety and "local" in settings.safety_providers else None


def local_chain(settings: Settings, client: Client) -> ClassifierChain:
    """The classifier inside the gateway alone: for callers who may not spend what the others cost."""
    return ClassifierChain(client, [LocalClassifier()], timeout_s=settings.safety_timeout_ms / 1000)


def safety_chain(settings: Settings, environment: Mapping[str, str], client: Client) -> ClassifierChain | None:
    """
    The classifiers of `SAFETY_PROVIDERS` that have keys or need none, in order; None when there is none or safety
    is off.

    They use the keys and addresses of the providers of the same name, whether or not those answer prompts too.
    """
    if not settings.enable_safety:
        return None
    configured = [_classifier(name, settings, environment) for name in settings.safety_providers]
    classifiers = [classifier for classifier in configured if classifier is not None]
    if not classifiers:
        return None
    return ClassifierChain(client, classifiers, timeout_s=settings.safety_timeout_ms / 1000)


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
    elif settings.enable_safety:
        facts["note"] = "no classifier is configured: texts pass unjudged"
    return facts
