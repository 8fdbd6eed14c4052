"""
How vendors of the OpenAI wire differ in what they take, as rows of data.

Sources: the vendors' API references and official SDKs. What differs in replies is read wherever it shows up, since the
shapes do not contradict each other.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Dialect:
    """
    How a vendor's request differs from the common form.

    `path` may hold `{model}`. `drops` names fields of the request the vendor does not have and answers with 400:
    they are left out, and the caller is told. `refuses` names those without which the answer would be another one.
    `renames` gives a field the vendor's own name. `message_fields` and `part_fields` are keys beyond OpenAI's that
    messages and their parts may carry; `call_fields` whether tool calls may carry a vendor's own, such as Google's
    signatures.

    A model that `reasoning_models` matches takes its limit as `max_completion_tokens` and no temperature but 1; one
    that `low_effort_models` matches reasons by default out of that limit and is asked for little of it, or a short
    answer would be none. The last two say what a status means there and nowhere else.
    """

    path: str = "/chat/completions"
    query: str = ""
    key_header: Literal["authorization", "api-key"] = "authorization"
    headers: tuple[tuple[str, str], ...] = ()
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    reasoning_models: re.Pattern[str] | None = None
    low_effort_models: re.Pattern[str] | None = None
    drops: frozenset[str] = frozenset()
    refuses: frozenset[str] = frozenset()
    renames: Mapping[str, str] = field(default_factory=dict)
    message_fields: frozenset[str] = frozenset({"reasoning_content", "reasoning", "reasoning_details"})
    part_fields: frozenset[str] = frozenset()
    call_fields: bool = False
    stream_options: bool = True
    remote_images: bool = True
    files: bool = True
    native_tools: bool = False
    short_tool_ids: bool = False
    base64_embeddings: bool = False
    forbidden_is_context: bool = False
    too_large_is_context: bool = False


_OPENAI_REASONING = re.compile(r"(?:ft:)?(?:gpt-(?:[5-9]|[1-9]\d)|o[1-9])(?![a-z])")
"""gpt-5 and later and the o-series refuse `max_tokens` and any temperature but 1 with 400. Not gpt-4o, not gpt-oss."""

_GPT_OSS = re.compile(r"(?:openai/)?gpt-oss-")

_OPENAI_ONLY = frozenset(
    {
        *("store", "metadata", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_options"),
        *("prediction", "verbosity", "web_search_options", "moderation", "top_k"),
    }
)
"""Book-keeping and services of OpenAI's platform, and what OpenAI lacks: others answer with 400 or ignore it."""
_AUDIO = frozenset({"modalities", "audio"})
"""An answer in sound is not one in words."""

COMMON = Dialect(call_fields=True)
OPENAI = Dialect(
    reasoning_models=_OPENAI_REASONING,
    drops=frozenset({"top_k"}),
    message_fields=frozenset(),
    native_tools=True,
    base64_embeddings=True,
)
CEREBRAS = Dialect(
    max_tokens_field="max_completion_tokens",
    low_effort_models=_GPT_OSS,
    drops=_OPENAI_ONLY - {"service_tier", "prediction"},
    refuses=_AUDIO,
)
GROQ = Dialect(
    low_effort_models=_GPT_OSS,
    # "Not yet supported" in Groq's reference: answered with 400. A message's `name` is accepted by some models only.
    drops=(_OPENAI_ONLY - {"service_tier", "metadata", "store"})
    | {"logprobs", "top_logprobs", "logit_bias", "frequency_penalty", "presence_penalty", "messages.name"},
    refuses=_AUDIO | {"n"},
    message_fields=frozenset(),  # "property 'reasoning_content' is unsupported"
    files=False,
    # Larger than a minute's tokens: waiting does not help, another provider may.
    too_large_is_context=True,
)
MISTRAL = Dialect(
    drops=(_OPENAI_ONLY - {"metadata", "prediction"})
    | {"logit_bias", "logprobs", "top_logprobs", "user", "messages.name"},
    refuses=_AUDIO,
    message_fields=frozenset(),  # "Extra inputs are not permitted"
    renames={"seed": "random_seed"},
    stream_options=False,  # usage is sent unasked
    short_tool_ids=True,
)
OPENROUTER = Dialect(
    headers=(("x-openrouter-title", "LLM Security Gateway"),),
    part_fields=frozenset({"cache_control"}),
    call_fields=True,
    drops=_OPENAI_ONLY - {"top_k", "metadata", "prediction", "verbosity", "web_search_options"},
)
TOGETHER = Dialect(drops=_OPENAI_ONLY - {"top_k"}, refuses=_AUDIO, forbidden_is_context=True)
DEEPINFRA = Dialect(drops=_OPENAI_ONLY - {"top_k", "service_tier", "prompt_cache_key"}, refuses=_AUDIO)
DEEPSEEK = Dialect(drops=_OPENAI_ONLY | {"seed", "logit_bias", "user", "parallel_tool_calls"}, refuses=_AUDIO | {"n"})
XAI = Dialect(drops=_OPENAI_ONLY - {"web_search_options"} | {"logit_bias"}, refuses=_AUDIO)
FIREWORKS = Dialect(drops=_OPENAI_ONLY - {"top_k", "service_tier", "prompt_cache_key", "metadata"}, refuses=_AUDIO)
OLLAMA = Dialect(
    drops=(_OPENAI_ONLY - {"top_k"})
    | {"logprobs", "top_logprobs", "logit_bias", "user", "tool_choice", "parallel_tool_calls"},
    refuses=_AUDIO | {"n"},
    remote_images=False,
)
AZURE = Dialect(
    key_header="api-key",
    reasoning_models=_OPENAI_REASONING,
    drops=frozenset({"top_k"}),
    message_fields=frozenset(),
    native_tools=True,
    base64_embeddings=True,
)


def azure_classic(api_version: str) -> Dialect:
    """Azure's older form: the deployment in the path, a dated `api-version` in the query."""
    return replace(
        AZURE,
        path="/openai/deployments/{model}/chat/completions",
        query=f"api-version={quote(api_version, safe='')}",
    )
