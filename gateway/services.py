"""The services a configuration names, or the demo when it names none."""

from collections.abc import Mapping

from gateway.settings import Settings, SettingsError
from providers import demo
from providers.openai_compatible import OpenAICompatible
from providers.registry import ConfigProblem, Model, Service, services_from_environment, services_from_json


def configured_services(settings: Settings, environment: Mapping[str, str]) -> list[Service]:
    """`ROUTER_SERVICES` if set, else a service for each provider with a key. Raises `SettingsError`."""
    try:
        if settings.router_services is not None:
            return services_from_json(settings.router_services.get_secret_value(), environment)
        services = services_from_environment(environment, settings.provider_order)
    except ConfigProblem as error:
        raise SettingsError(error.problems) from None
    return services or [demo_service()]


def demo_service() -> Service:
    return Service(
        name=demo.SERVICE,
        backend_type=demo.SERVICE,
        base_url=demo.ADDRESS,
        adapter=OpenAICompatible(),
        default_model=demo.MODEL,
        models={demo.MODEL: Model(demo.MODEL)},
    )
