"""
Rules for prompt injection: the phrases by which a text tries to replace the instructions it is processed under.

They are precise rather than complete: each needs a verb and its object ("ignore … previous … instructions"), because the
words alone are everyday English. Sources of the phrases: OWASP Top 10 for LLM Applications 2025, LLM01; the chat templates published with the models
for the control tokens.
"""

# ruff: noqa: E501 (a pattern broken over lines is harder to compare with its source)

import re

from middleware.guard.rule import Check, Rule

_GAP = r"[^\w.!?]+"
"""Between two words of one sentence."""

_VERB = (
    r"(?:ignor(?:e|es|ed|ing)|disregard(?:s|ed|ing)?|forget(?:s|ting)?|forgot|overr(?:ide|ides|iding|ode|ule|uling)|bypass(?:es|ed|ing)?|skip(?:ping)?|discard(?:ing)?"
    r"|dismiss(?:ing)?|neglect(?:ing)?|abandon(?:ing)?|erase|nullify|revoke|violat(?:e|ing)|disobey(?:ing)?|unlearn|supersedes?|circumvent(?:ing)?|suspend"
    r"|pay\s+no\s+attention\s+to|stop\s+(?:following|obeying)|no\s+longer\s+(?:follow|obey|bound\s+by)|(?:do\s+not|don'?t|never)\s+(?:follow|obey|comply\s+with|listen\s+to|adhere\s+to))"
)
_VERB_SEEN = (
    r"(?i)\b(?:ignor|disregard|forg[eo]t|overr(?:id|od|ul)|bypass|skip|discard|dismiss|neglect|abandon|erase|nullify|revoke|violat|disobey"
    r"|unlearn|supersede|circumvent|suspend|no\s+attention|stop\s+(?:follow|obey)|no\s+longer\s|(?:not|don'?t|never)\s+(?:follow|obey|comply|listen|adhere))"
)
_EARLIER = r"(?:previous|prior|above|earlier|preceding|foregoing|initial|original|former|past|existing|previously|aforementioned|pre-?existing|pre-?set)"
_OWN = r"(?:your|system|developer|openai'?s?|anthropic'?s?|google'?s?|built-?in|default|programmed|core|hidden)"
_ORDERS = (
    r"(?:instructions?|instruction\s+sets?|rules?|prompts?|directions|directives?|guidelines?|commands?|orders|constraints?|restrictions?|guardrails?"
    r"|programming|training|safeguards?|polic(?:y|ies)|guidance|limitations|protocols?)"
)
_STRONG_ORDERS = r"(?:instructions?|rules|system\s+prompts?|prompts?|directives?|guidelines?|programming|training|guardrails?|restrictions|safeguards?|safety\s+\w+)"

_FORGET = r"(?:ignor(?:e|ing)|disregard(?:ing)?|forget(?:ting)?|discard|erase|unlearn|dismiss|override)"
_FORGET_SEEN = rf"(?i)\b{_FORGET}\s"
_WHICH = r"\s+(?:that\s+|this\s+|the\s+|which\s+|was\s+|has\s+been\s+|is\s+)*"
_SAID = (
    r"(?:you(?:'ve|\s+have|\s+had|\s+were|\s+are|\s+was)?\s+(?:been\s+|previously\s+|just\s+)?(?:told|given|taught|instructed|learned|learnt|know|knew|read|trained|said)"
    r"|(?:said|written|told|stated|mentioned)\s+(?:to\s+you\s+)?(?:above|before|earlier|previously|so\s+far|until\s+now)"
    r"|came\s+(?:before|above|earlier)|(?:i|we)(?:'ve|\s+have)?\s+(?:told|said|instructed)\s+(?:you|before|earlier|above|so\s+far|previously))"
)

_ORDERS_SEEN = r"(?i)prompt|instruction|guideline|directive|configuration|programming|preamble|\brules|polic|guardrail|safeguard|restrictions|\btraining|\bmessage|\bcontext"
_LIMITS_SEEN = r"(?i)restriction|filter|limit|censor|moral|ethic|safeguard|guardrail|inhibition|safety|polic|legal|guideline|protocol|constraint|moderation"
_NOW_SEEN = r"(?i)\byou(?:'re|\s+are)\s+now\b"


def _words(most: int) -> str:
    return rf"(?:{_GAP}\w+){{0,{most}}}?{_GAP}"


def _not_everyday(value: str, before: str, after: str) -> bool:
    """Not "You are now a member": the account, the shop and the queue speak to people in the same words."""
    return not any(word in f"{value} {after[:24]}".lower() for word in _EVERYDAY)


_EVERYDAY = (
    "member", "registered", "subscriber", "subscribed", "customer", "citizen", "owner", "parent", "step", "proud", "certified", "licensed",
    "resident", "verified", "few", "bit", "little", "part of", "lot", "father", "mother", "adult", "better", "homeowner", "graduate",
)  # fmt: skip


def _not_a_device(value: str, before: str, after: str) -> bool:
    """Developer mode of a phone, a browser or a headset is none of ours."""
    near = f"{before}{value}{after}".lower()
    return _no_question(value, before, after) and not any(
        word in near
        for word in (
            "android",
            "phone",
            "windows",
            "chrome",
            "device",
            "ios",
            "pixel",
            "samsung",
            "headset",
            "quest",
            "roku",
        )
    )


_ASKED = re.compile(
    r"\b(?:how\s+(?:do|does|can|could|should|would|might)\s+(?:i|we|people|users|it|the|an?|\w+s)|how\s+to|why\s+(?:do|does|did|would)\s+(?:my|our|the|an?|\w+)|what\s+(?:does|happens\s+if|if)(?:\s+i)?"
    r"|(?:can|could|should|may|do|did)\s+i|(?:does|did)\s+(?:my|our|the|\w+)|is\s+it\s+(?:possible|safe|ok)\s+to)(?:\s+(?!and\b|then\b|but\b|or\b|you\b|your\b)[\w']+){0,3}\s*[\"'\u201c]?\Z",
    re.IGNORECASE,
)


def _no_question(value: str, before: str, after: str) -> bool:
    """Not "How do I ignore all rules for one file?": the question stands right before the verb, with no "and"."""
    return _ASKED.search(before) is None


def row(slug: str, pattern: str, trigger: str = "", check: Check | None = None) -> Rule:
    return Rule(f"injection-{slug}", "injection", pattern, trigger, check=check)


_OVERRIDES = (
    # "ignore all previous instructions", "disregard any of the prior safety rules"
    row("ignore-previous", rf"(?i)\b{_VERB}{_words(4)}{_EARLIER}{_words(3)}{_ORDERS}\b", _VERB_SEEN, _no_question),
    # "ignore your rules", "bypass your built-in safety guidelines"
    row("ignore-own", rf"(?i)\b{_VERB}{_words(3)}{_OWN}{_words(2)}{_STRONG_ORDERS}\b", _VERB_SEEN, _no_question),
    # "forget all instructions", "disregard any rules"
    row(
        "ignore-all",
        rf"(?i)\b{_VERB}{_GAP}(?:all|any|every|each\s+and\s+every)(?:\s+of)?(?:\s+(?:the|your|those|these|my|other))?\s+(?:\w+\s+)?{_STRONG_ORDERS}\b",
        _VERB_SEEN,
        _no_question,
    ),
    # "ignore the instructions above", "forget the rules you were given"
    row(
        "ignore-above",
        rf"(?i)\b{_VERB}{_words(3)}{_ORDERS}[\s,]+(?:\w+\s+)?(?:above|before\s+(?:this|that|now|it)|earlier|prior|previously|so\s+far|until\s+now"
        r"|(?:that\s+)?you(?:'ve|\s+have|\s+had|\s+were|\s+are)?\s+(?:been\s+)?(?:given|told|received|got|learned|taught|provided|follow)"
        r"|(?:that\s+)?(?:i|we|they|the\s+(?:developers?|system|user))\s+(?:just\s+)?(?:gave|told|provided|said|set|wrote)"
        r"|(?:given|provided|written|stated|mentioned|listed)\s+(?:above|before|earlier|previously|to\s+you))\b",
        _VERB_SEEN,
    ),
    # "forget everything you were told", "ignore what was said before", "disregard anything above"
    row(
        "forget-everything",
        rf"(?i)\b{_FORGET}\s+(?:about\s+)?(?:everything|anything|whatever|what|absolutely\s+everything)(?:\s+else)?{_WHICH}(?:above|before|prior|previous|previously|earlier|preceding|{_SAID})\b",
        _FORGET_SEEN,
    ),
    # "forget all you were told"
    row("forget-all-said", rf"(?i)\b{_FORGET}\s+(?:about\s+)?all(?:\s+of)?{_WHICH}{_SAID}\b", _FORGET_SEEN),
    # "disregard previous", the rest left out; "all previous messages", but not "all previous diets"
    row(
        "forget-previous",
        rf"(?i)\b{_FORGET}\s+(?:all\s+(?:of\s+)?)?(?:the\s+|that\s+)?(?:previous|prior|earlier|preceding)(?:\s*(?:[.,;:!\n\"')]|\z)|\s+(?:and|then|instead|but)\b)"
        rf"|\b{_FORGET}\s+all\s+(?:of\s+)?(?:the\s+)?(?:previous|prior|earlier|preceding)\s+(?:texts?|messages?|conversations?|context|chats?|inputs?|content|statements|history|dialogue|tasks?)\b",
        _FORGET_SEEN,
    ),
    # "Forget everything.", an order of its own: "I forget everything" is none
    row(
        "forget-it-all",
        rf"(?i)(?:^|[.!?:;\n\"'(>\]]\s*|\b(?:now|please)\s+)(?:{_FORGET}\s+(?:everything|it\s+all)|forget\s+all)\s*(?:[.!;\n\"')]|\z|,?\s+(?:and|then|else|now)\b)",
        _FORGET_SEEN,
    ),
    # verbs that are said of orders in a shop and of constraints in a table too
    row(
        "drop-previous",
        rf"(?i)\b(?:drop|cancel|scrap|overlook|set\s+aside|put\s+aside|throw\s+(?:out|away)|get\s+rid\s+of|leave){_words(3)}{_EARLIER}{_words(2)}(?:instructions?|directives?|guidelines?|guidance|programming|system\s+prompts?)\b",
        rf"(?i)\b{_EARLIER}\b",
    ),
    # "Ignore safety guidelines": an order, not what workers do
    row(
        "ignore-safety",
        r"(?i)(?:^|[.!?:;\n\"'(>\]]\s*|\b(?:now|please)\s+)(?:ignore|disregard|forget(?:\s+about)?|bypass|override)\s+(?:all\s+|any\s+|the\s+)*(?:safety|ethical|moral|content)\s+(?:guidelines|rules|restrictions|filters?|polic(?:y|ies)|protocols?|constraints|guardrails|measures)\b",
        r"(?i)\b(?:ignore|disregard|forget|bypass|override)\b",
    ),
    # "disregard the above", at the end of its clause: "the above email" is an ordinary object
    row(
        "ignore-the-above",
        r"(?i)\b(?:ignore|disregard|forget)\s+(?:all\s+)?(?:of\s+)?(?:(?:the|everything|what(?:'s|\s+is|\s+was)?|all)\s+)?(?:text\s+|content\s+|message\s+|said\s+)?above"
        r"(?:\s*(?:[.,;:!\n\"')\]]|\z|-)|\s+(?:and|text|mentioned|directions?|instead|then|but|tasks?|prompts?|messages?)\b)",
        r"(?i)\b(?:ignore|disregard|forget)\b",
    ),
    # "the previous instructions are to be ignored", "all prior rules no longer apply"
    row(
        "instructions-ignored",
        rf"(?i)\b(?:{_EARLIER}|all|your|system)\s+(?:\w+\s+){{0,2}}{_STRONG_ORDERS}\s+(?:(?:that\s+)?(?:above|before|you\s+\w+\s+\w+|you\s+\w+)\s+)?"
        r"(?:(?:are|is|were|was|have|has|had|should|must|can|shall|will|may|need|ought|to|now|hereby|all|be|been|being|completely|entirely|therefore)\s+)+"
        r"(?:ignored|disregarded|forgotten|overridden|overruled|void(?:ed)?|null(?:ified)?|cancell?ed|revoked|superseded|suspended|discarded|erased|obsolete|deprecated"
        r"|invalid|replaced|lifted|deleted|disabled|rescinded|outdated)\b",
        _ORDERS_SEEN,
    ),
    row(
        "instructions-lapsed",
        rf"(?i)\b(?:{_EARLIER}|your|system|those|these)\s+(?:\w+\s+){{0,2}}{_STRONG_ORDERS}\s+(?:do\s+not|don'?t|does\s+not|no\s+longer)\s+(?:apply|matter|hold|bind|count)\b",
        _ORDERS_SEEN,
    ),
    # "your new instructions are", "New instructions:"
    row(
        "new-instructions",
        r"(?i)(?:(?:^|[.!?;:>\]\)*#\"'\-\n,]\s*|\b(?:your|my|the|here\s+(?:are|is)|these\s+are|following|and)\s+)(?:your\s+|my\s+|the\s+)?(?:new|updated|revised|real|actual|true)\s+"
        r"(?:and\s+\w+\s+)?(?:system\s+)?(?:instructions?|directives?|system\s+prompt|prompt)\s*:"
        r"|\byour\s+(?:new|real|actual|true|only)\s+(?:\w+\s+)?(?:instructions?|directives?|task|objective|goal|role|purpose|mission|job|system\s+prompt)\s+(?:is|are)\s+(?:now\s+)?(?:to\b|as\s+follows|:))",
        r"(?i)(?:instructions?|directives?|prompt)\s?:|\byour\s(?:new|real|actual|true|only)\s",
    ),
)

_PERSONA = (
    row(
        "you-are-now",
        r"(?i)\byou(?:'re|\s+are)\s+now\s+(?:(?:a|an|the|my|our|his|her)\s+\w+|acting\b|playing\b|called\b|named\b|known\s+as\b|going\s+to\s+(?:act|be|pretend|play|respond|ignore)\b|to\s+(?:act|be|respond|ignore|follow)\b"
        r"|free\s+(?:from|of|to)\b|unrestricted|unfiltered|uncensored|unbound|unchained|unlocked|liberated|jailbroken|evil|dan\b|stan\b|dude\b|aim\b|root\b|admin\b|chatgpt|[\"'\[{]\w+"
        r"|(?:in|entering|operating\s+in)\s+(?:\w+\s+){0,2}mode\b|operating\s+(?:as|under|without)\b|(?:no\s+longer|not)\s+(?:\w+\s+)?(?:bound|an?\s+(?:ai|assistant|language)|restricted|limited|constrained|chatgpt|claude))",
        _NOW_SEEN,
        _not_everyday,
    ),
    # a name in capitals after "you are now": "You are now DAN", "You are now EVIL-GPT"
    row(
        "you-are-now-named",
        r"\b[Yy][Oo][Uu](?:'[Rr][Ee]|\s+[Aa][Rr][Ee])\s+[Nn][Oo][Ww]\s+(?:[A-Z][A-Z0-9]{2,}|[A-Z]\w*(?:GPT|Bot|AI|-[A-Z0-9])\w*)\b",
        _NOW_SEEN,
    ),
    row(
        "from-now-on",
        r"(?i)\bfrom\s+(?:now|this\s+(?:point|moment|message))\s+(?:on(?:wards?)?|forward)?\s*,?\s*(?:you|chatgpt|the\s+(?:ai|assistant|model))(?:'ll|'re|\s+(?:are|will|must|shall|should|have\s+to|are\s+going\s+to))\s+(?:now\s+|always\s+|only\s+|to\s+)*"
        r"(?:be\s+(?:a|an|the|my|known|called|acting|playing|free)\b|a\s|an\s|the\s|act(?:ing)?\b|behave\b|play(?:ing)?\b|pretend|respond\s+(?:as|without|with\s+two|to\s+all)|answer\s+(?:as|without|all|any)|ignore|disregard|obey|called\b|named\b|simulate|impersonate|roleplay|speak\s+as|not\s+(?:\w+\s+)?(?:refuse|follow|bound|an?\s)|no\s+longer|never\s+refuse|free\b|unrestricted|unfiltered|dan\b)",
        r"(?i)\bfrom\s+(?:now|this\s+(?:point|moment|message))\s",
    ),
    row(
        "from-now-on-act",
        r"(?i)\bfrom\s+now\s+on\b\s*,?\s*(?:act\s+as|pretend|behave\s+(?:as|like)|roleplay|ignore|obey|respond\s+(?:as|without)|you(?:r\s+name)?\s+(?:are|is)\b)",
        r"(?i)\bfrom\s+now\s+on\b",
    ),
    # jailbreak personas known by name
    row("do-anything-now", r"(?i)\bdo\s+anything\s+now\b", ""),
    row(
        "dan",
        r"\b(?:(?i:act(?:ing)?|respond(?:ing)?|answer(?:ing)?|behave|play|pretend|role-?play(?:ing)?|known|you|be|become|stay|simulate)\s+(?i:(?:like|as|to\s+be|are|is|be|a|in|the\s+role\s+of|being|character\s+as)\s+)*\"?'?(?:DAN|STAN|DUDE|AIM|AntiDAN|EvilBOT|BetterDAN|SuperDAN|UCAR|Mongo\s+Tom)\b"
        r"|DAN\s+(?i:mode|prompt|jailbreak|\d+(?:\.\d+)?|can|will|does|has|is\s+(?:free|not))|\[(?:DAN|JAILBREAK|JAILBROKEN|EVIL|STAN|DUDE)\]|🔓)",
        r"\b(?:DAN|STAN|DUDE|AIM|AntiDAN|EvilBOT|BetterDAN|SuperDAN|UCAR|Mongo\s+Tom|EVIL)\b|\bJAILBR|🔓",
    ),
    row(
        "developer-mode",
        r"(?i)(?:\b(?:you(?:'re|r)?|chatgpt|gpt|claude|respond|answer|act|simulate|stay|model|ai)\b(?:[^\w.!?]+\w+){0,7}?[^\w.!?]+(?:developer|dev|debug|maintenance|god|sudo|admin|root|unrestricted)\s+mode\b"
        r"|\b(?:developer|dev|debug|maintenance|god|sudo|admin|root)\s+mode\s*(?::|=|-|is|has\s+been)?\s*(?:now\s+)?(?:enabled|activated|engaged|output|v\d|on\b|unlocked|initiated)"
        r"|(?:^|[.!?:;\n\"'(>\]]\s*)(?:now\s+|please\s+)?(?:enter|activate|initiate|engage|go\s+into|switch\s+(?:in)?to)\s+(?:developer|dev|debug|god|sudo|admin|root)\s+mode\b"
        r"|\b(?:jailbreak|jailbroken|dan|evil|unrestricted|unfiltered|uncensored|no-?filter|unsafe|opposite)\s+mode\b)",
        r"(?i)\b(?:developer|dev|debug|maintenance|god|sudo|admin|root|jailbreak|jailbroken|dan|evil|unrestricted|unfiltered|uncensored|no-?filter|unsafe|opposite)\s+mode\b",
        _not_a_device,
    ),
    # "pretend you have no restrictions", "answer without any filters"
    row(
        "no-restrictions",
        r"(?i)\b(?:pretend|imagine|act|respond|answer|reply|behave|operate|role-?play|simulate|speak|talk|function|generate|you(?:'re|\s+are)|you)\b(?:[^\w.!?]+\w+){0,8}?[^\w.!?]+(?:without|no|free\s+(?:of|from)|lacks?|zero|unbound\s+by|not\s+(?:bound|limited|restricted|constrained)\s+by)"
        r"\s+(?:(?:any|all|the|your|such|these|those|of|kind|usual|normal|typical|safety|ethical|moral|content|legal|and|or|openai'?s?)\s+)*(?:restrictions?|filters?|filtering|limitations|limits|censorship|moral\s+(?:code|compass)|ethic\w*\s+(?:guidelines|constraints)|safeguards?|guardrails?|inhibitions|safety\s+\w+|content\s+polic\w+|(?:ethical|moral|legal)\s+\w+)\b",
        _LIMITS_SEEN,
        lambda value, before, after: not _LIMIT_OF_SOMETHING(after),
    ),
    row(
        "disable-safety",
        r"(?i)\b(?:bypass|disable|turn(?:ing)?\s+off|circumvent|deactivate|remove|evade|lift|drop|switch\s+off|get\s+around|suspend)\s+(?:all\s+)?(?:of\s+)?your\s+(?:own\s+)?(?:\w+\s+){0,2}(?:filters?|filtering|restrictions?|guidelines|guardrails?|safeguards|protocols|policies|limitations|safety|ethics|censorship|constraints|moderation)\b",
        _LIMITS_SEEN,
    ),
    row(
        "unfiltered-ai",
        r"(?i)\b(?:an?|the|as|completely|fully|totally)\s+(?:\w+,?\s+){0,2}(?:unrestricted|unfiltered|uncensored|jailbroken|amoral|unethical|rogue)(?:,?\s+(?:and\s+)?\w+){0,2}?\s+(?:ai|a\.i\.|chatbot|assistant|(?:language\s+)?model|llm|bot|version\s+of\s+(?:yourself|you|chatgpt|gpt))\b",
        r"(?i)\b(?:unrestricted|unfiltered|uncensored|jailbroken|amoral|unethical|rogue)\b",
    ),
)


def _LIMIT_OF_SOMETHING(after: str) -> bool:
    """ "Answer without any limits on length" asks for a long answer."""
    return after.lower().startswith((" on ", " to length", " of length", " for length"))


_FORGED = (
    row(
        "chatml",
        r"(?i)<\|(?:im_start|im_end|im_sep|system|user|assistant|endoftext|endofprompt|begin_of_text|end_of_text|start_header_id|end_header_id|eot_id|eom_id|python_tag|start|end|message|channel|return|call|constrain|startoftext|end_of_turn|start_of_role|end_of_role|tool|prompter|start_of_turn|turn|eos|bos)\|>",
        r"<\|",
    ),
    # DeepSeek writes its tokens with U+FF5C and U+2581; NFKC turns the former into "|"
    row(
        "deepseek-tokens",
        r"(?i)<[|｜](?:begin|end)[▁_ ]of[▁_ ](?:sentence|thinking)[|｜]>|<[|｜](?:User|Assistant|System|tool[▁_ ]\w+(?:[▁_ ]\w+)*)[|｜]>",
        r"<[|｜]",
    ),
    row("llama-tokens", r"\[/?INST\]|<</?SYS>>|\[/?SYSTEM_PROMPT\]|\[/?AVAILABLE_TOOLS\]|\[/?TOOL_RESULTS\]"),
    row("gemma-tokens", r"<(?:start|end)_of_turn>"),
    row("command-r-tokens", r"<\|(?:START|END)_OF_TURN_TOKEN\|>|<\|(?:SYSTEM|USER|CHATBOT)_TOKEN\|>"),
    row(
        "alpaca-header",
        r"(?im)(?:^|\\n|[.!?]\s)[ \t]*###\s*(?:new\s+)?(?:(?:instructions?|system|system\s+prompt|system\s+message|human|assistant)\s*:|(?:system|instruction)\s*(?:\n|\z))",
        "###",
    ),
    # not "A:", which stands after an empty line wherever questions are answered; with a forged "H:" it is found by that
    row(
        "human-turn",
        r"(?:\n\s*\n|\\n\\n)[ \t]*(?:Human|Assistant|H): ?\S",
        r"(?:\n|\\n)[ \t]*(?:Human|Assistant|H):",
    ),
    row(
        "system-turn",
        r"(?im)(?:^|[\n\"'`>\]\)\-]|\\n)[ \t]*[\[<#*{(]*[ \t]*(?:system|developer|admin(?:istrator)?|root|sysadmin)(?:\s+(?:prompt|message|note|notice|instructions?|override|command|update|alert|directive|admin))?[ \t]*[\]>*})]*[ \t]*[:>\]][\]>*]*[ \t\n]*\"?"
        r"(?:you(?:'re|r)?\b|obey|comply|do\s+(?:what|as|exactly|anything)|(?:answer|reply|tell|show|say|give|allow|approve|unlock|pretend|assume|treat)\b|ignor\w+|disregard|forget|from\s+now|new\s+\w+|overrid\w+|always\b|never\b|do\s+not|don'?t|act\s+as|enable|disable|activate|deactivate|reveal|respond|the\s+(?:user|assistant|above|previous|following\s+(?:user|instruct))|all\s+(?:previous|prior|safety|restrictions)|safety|previous|prior|grant|execute|switch|enter|bypass|delete|print|output|send|restrictions|this\s+(?:user|conversation|is\s+an?\s+(?:authorized|official|emergency|test|override)))",
        r"(?i)(?:system|developer|admin|administrator|root|prompt|message|note|notice|instructions?|override|command|update|alert|directive)[\]>*}) \t]{0,3}[:>\]]",
    ),
    row(
        "system-override",
        r"(?i)(?:[\[<{(*#]+\s*(?:system|admin|administrator|developer|root|security|emergency|priority)\s+(?:override|bypass|unlock)\b|^\s*(?:system|admin|developer)\s+override\b|\b(?:override|unlock)\s+code\s*[:=]|\binitiat\w+\s+(?:system\s+)?override\b)",
        r"(?i)\b(?:override|bypass|unlock)\b",
    ),
    row(
        "end-of-prompt",
        r"(?i)(?:[-=#*<\[/]{2,}\s*(?:end|begin(?:ning)?|start)\s+of\s+(?:the\s+)?(?:system\s+)?(?:prompt|instructions?|system\s+message|context|user\s+input|document|text)\b|</(?:system|instructions?|system_prompt|system-prompt|user_input|context|prompt)>\s*(?:<(?:system|instructions?|user|admin)|\w*\s*(?:ignore|disregard|new|you|now)))",
        r"(?i)(?:(?:end|begin|beginning|start)\s+of\s+|</(?:system|instruction|user_input|context|prompt))",
    ),
)

_SHOW = r"(?:reveal|print|repeat|show|display|output|tell|give|share|disclose|expose|leak|dump|recite|write|provide|send|list|summari[sz]e|translate|quote|echo|return|state|spell|describe|copy|read|encode|paste|type|include|reproduce|extract|see|know|explain|paraphrase|rephrase|convert|report|cite|export|release|append|base64|insert|embed)"
_PROMPT = (
    r"(?:(?:system|initial|original|hidden|secret|internal|developer|pre-?|base|core|first|confidential|full|entire|complete|exact|raw|underlying|current|default|actual|private|custom|own|configured|starting|opening)\s*)+"
    r"(?:and\s+\w+\s+)?(?:prompts?|instructions?|messages?|rules|guidelines|directives?|configuration|programming|system\s+prompt|context|policies|prompting|preamble)"
)

_LEAK = (
    row(
        "reveal-prompt",
        rf"(?i)\b{_SHOW}\b(?:[^\w.!?]+\w+){{0,5}}?[^\w.!?]+(?:your|ur|its|you\s+were\s+given)\s+{_PROMPT}\b",
        _ORDERS_SEEN,
    ),
    row(
        "reveal-the-system-prompt",
        r"(?i)\b(?:reveal|repeat|disclose|expose|leak|dump|recite|divulge|exfiltrate|print|output|show\s+me|tell\s+me|give\s+me|send\s+me)\s+(?:me\s+|us\s+|out\s+|back\s+)?(?:the|this|that|all)\s+(?:\w+\s+){0,2}(?:system\s+(?:prompt|instructions?|message)|(?:hidden|secret|initial|original|developer|internal|confidential)\s+(?:prompt|instructions?|system\s+prompt))\b",
        _ORDERS_SEEN,
        _no_question,
    ),
    row(
        "what-is-your-prompt",
        rf"(?i)\bwhat(?:'s|s|\s+(?:is|are|was|were|does|did|do))?\s+(?:\w+\s+){{0,3}}?(?:your|ur)\s+{_PROMPT}\b",
        _ORDERS_SEEN,
    ),
    # nobody but its author and a thief speaks of "your system prompt"
    row(
        "your-system-prompt",
        r"(?i)\byour\s+(?:\w+\s+){0,2}system[\s_-]+(?:prompts?|messages?|instructions?)\b",
        _ORDERS_SEEN,
    ),
    row(
        "reveal-instructions",
        r"(?i)\b(?:reveal|repeat|disclose|leak|dump|recite|divulge|print|output|show\s+me|tell\s+me)\s+(?:me\s+|back\s+|all\s+|of\s+)*your\s+(?:\w+\s+)?(?:instructions|prompt|rules|guidelines|directives|programming|configuration|training\s+data)\b",
        _ORDERS_SEEN,
    ),
    row(
        "repeat-above",
        r"(?i)\b(?:repeat|print|output|recite|copy|echo|write\s+(?:out|down)|display|show(?:\s+me)?|reproduce|return|spell\s?check|summari[sz]e|translate)\s+(?:\w+\s+){0,2}?(?:everything|all|the\s+(?:\w+\s+)?(?:words?|text|content|message|sentences?|lines?|prompt|instructions?|conversation|paragraphs?))\s+(?:\w+\s+){0,2}?(?:above|before\s+this|prior\s+to\s+this|preceding\s+this|so\s+far\s+verbatim)\b",
        r"(?i)\b(?:above|before\s+this|prior\s+to\s+this|preceding\s+this|verbatim)\b",
    ),
)

RULES: tuple[Rule, ...] = (*_OVERRIDES, *_PERSONA, *_FORGED, *_LEAK)
