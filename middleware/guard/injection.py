"""
Rules for prompt injection: the phrases by which a text tries to replace the instructions it is processed under.

They are precise rather than complete: each needs a verb and its object ("ignore … previous … instructions"), because the
words alone are everyday English. Sources of the phrases: OWASP Top 10 for LLM Applications 2025, LLM01; the chat templates published with the models
for the control tokens.
"""

# ruff: noqa: E501 (a pattern broken over lines is harder to compare with its source)

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
    return not any(
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


def _row(slug: str, pattern: str, trigger: str = "", check: Check | None = None) -> Rule:
    return Rule(f"injection-{slug}", "injection", pattern, trigger, check=check)


_OVERRIDES = (
    # "ignore all previous instructions", "disregard any of the prior safety rules"
    _row("ignore-previous", rf"(?i)\b{_VERB}{_words(4)}{_EARLIER}{_words(3)}{_ORDERS}\b", _VERB_SEEN),
    # "ignore your rules", "bypass your built-in safety guidelines"
    _row("ignore-own", rf"(?i)\b{_VERB}{_words(3)}{_OWN}{_words(2)}{_STRONG_ORDERS}\b", _VERB_SEEN),
    # "forget all instructions", "disregard any rules"
    _row(
        "ignore-all",
        rf"(?i)\b{_VERB}{_GAP}(?:all|any|every|each\s+and\s+every)(?:\s+of)?(?:\s+(?:the|your|those|these|my|other))?\s+(?:\w+\s+)?{_STRONG_ORDERS}\b",
        _VERB_SEEN,
    ),
    # "ignore the instructions above", "forget the rules you were given"
    _row(
        "ignore-above",
        rf"(?i)\b{_VERB}{_words(3)}{_ORDERS}[\s,]+(?:\w+\s+)?(?:above|before\s+(?:this|that|now|it)|earlier|prior|previously|so\s+far|until\s+now"
        r"|(?:that\s+)?you(?:'ve|\s+have|\s+had|\s+were|\s+are)?\s+(?:been\s+)?(?:given|told|received|got|learned|taught|provided|follow)"
        r"|(?:that\s+)?(?:i|we|they|the\s+(?:developers?|system|user))\s+(?:just\s+)?(?:gave|told|provided|said|set|wrote)"
        r"|(?:given|provided|written|stated|mentioned|listed)\s+(?:above|before|earlier|previously|to\s+you))\b",
        _VERB_SEEN,
    ),
    # "forget everything you were told", "ignore what was said before", "disregard anything above"
    _row(
        "forget-everything",
        rf"(?i)\b{_FORGET}\s+(?:about\s+)?(?:everything|anything|whatever|what|absolutely\s+everything)(?:\s+else)?{_WHICH}(?:above|before|prior|previous|previously|earlier|preceding|{_SAID})\b",
        _FORGET_SEEN,
    ),
    # "forget all you were told"
    _row("forget-all-said", rf"(?i)\b{_FORGET}\s+(?:about\s+)?all(?:\s+of)?{_WHICH}{_SAID}\b", _FORGET_SEEN),
    # "disregard previous", the rest left out; "all previous messages", but not "all previous diets"
    _row(
        "forget-previous",
        rf"(?i)\b{_FORGET}\s+(?:all\s+(?:of\s+)?)?(?:the\s+|that\s+)?(?:previous|prior|earlier|preceding)(?:\s*(?:[.,;:!\n\"')]|\z)|\s+(?:and|then|instead|but)\b)"
        rf"|\b{_FORGET}\s+all\s+(?:of\s+)?(?:the\s+)?(?:previous|prior|earlier|preceding)\s+(?:texts?|messages?|conversations?|context|chats?|inputs?|content|statements|history|dialogue|tasks?)\b",
        _FORGET_SEEN,
    ),
    # "Forget everything.", an order of its own: "I forget everything" is none
    _row(
        "forget-it-all",
        rf"(?i)(?:^|[.!?:;\n\"'(>\]]\s*|\b(?:now|please)\s+)(?:{_FORGET}\s+(?:everything|it\s+all)|forget\s+all)\s*(?:[.!;\n\"')]|\z|,?\s+(?:and|then|else|now)\b)",
        _FORGET_SEEN,
    ),
    # verbs that are said of orders in a shop and of constraints in a table too
    _row(
        "drop-previous",
        rf"(?i)\b(?:drop|cancel|scrap|overlook|set\s+aside|put\s+aside|throw\s+(?:out|away)|get\s+rid\s+of|leave){_words(3)}{_EARLIER}{_words(2)}(?:instructions?|directives?|guidelines?|guidance|programming|system\s+prompts?)\b",
        rf"(?i)\b{_EARLIER}\b",
    ),
    # "Ignore safety guidelines": an order, not what workers do
    _row(
        "ignore-safety",
        r"(?i)(?:^|[.!?:;\n\"'(>\]]\s*|\b(?:now|please)\s+)(?:ignore|disregard|forget(?:\s+about)?|bypass|override)\s+(?:all\s+|any\s+|the\s+)*(?:safety|ethical|moral|content)\s+(?:guidelines|rules|restrictions|filters?|polic(?:y|ies)|protocols?|constraints|guardrails|measures)\b",
        r"(?i)\b(?:ignore|disregard|forget|bypass|override)\b",
    ),
    # "disregard the above", at the end of its clause: "the above email" is an ordinary object
    _row(
        "ignore-the-above",
        r"(?i)\b(?:ignore|disregard|forget)\s+(?:all\s+)?(?:of\s+)?(?:(?:the|everything|what(?:'s|\s+is|\s+was)?|all)\s+)?(?:text\s+|content\s+|message\s+|said\s+)?above"
        r"(?:\s*(?:[.,;:!\n\"')\]]|\z|-)|\s+(?:and|text|mentioned|directions?|instead|then|but|tasks?|prompts?|messages?)\b)",
        r"(?i)\b(?:ignore|disregard|forget)\b",
    ),
    # "the previous instructions are to be ignored", "all prior rules no longer apply"
    _row(
        "instructions-ignored",
        rf"(?i)\b(?:{_EARLIER}|all|your|system)\s+(?:\w+\s+){{0,2}}{_STRONG_ORDERS}\s+(?:(?:that\s+)?(?:above|before|you\s+\w+\s+\w+|you\s+\w+)\s+)?"
        r"(?:(?:are|is|were|was|have|has|had|should|must|can|shall|will|may|need|ought|to|now|hereby|all|be|been|being|completely|entirely|therefore)\s+)+"
        r"(?:ignored|disregarded|forgotten|overridden|overruled|void(?:ed)?|null(?:ified)?|cancell?ed|revoked|superseded|suspended|discarded|erased|obsolete|deprecated"
        r"|invalid|replaced|lifted|deleted|disabled|rescinded|outdated)\b",
        _ORDERS_SEEN,
    ),
    _row(
        "instructions-lapsed",
        rf"(?i)\b(?:{_EARLIER}|your|system|those|these)\s+(?:\w+\s+){{0,2}}{_STRONG_ORDERS}\s+(?:do\s+not|don'?t|does\s+not|no\s+longer)\s+(?:apply|matter|hold|bind|count)\b",
        _ORDERS_SEEN,
    ),
    # "your new instructions are", "New instructions:"
    _row(
        "new-instructions",
        r"(?i)(?:(?:^|[.!?;:>\]\)*#\"'\-\n,]\s*|\b(?:your|my|the|here\s+(?:are|is)|these\s+are|following|and)\s+)(?:your\s+|my\s+|the\s+)?(?:new|updated|revised|real|actual|true)\s+"
        r"(?:and\s+\w+\s+)?(?:system\s+)?(?:instructions?|directives?|system\s+prompt|prompt)\s*:"
        r"|\byour\s+(?:new|real|actual|true|only)\s+(?:\w+\s+)?(?:instructions?|directives?|task|objective|goal|role|purpose|mission|job|system\s+prompt)\s+(?:is|are)\s+(?:now\s+)?(?:to\b|as\s+follows|:))",
        r"(?i)(?:instructions?|directives?|prompt)\s?:|\byour\s(?:new|real|actual|true|only)\s",
    ),
)

_PERSONA = (
    _row(
        "you-are-now",
        r"(?i)\byou(?:'re|\s+are)\s+now\s+(?:(?:a|an|the|my|our|his|her)\s+\w+|acting\b|playing\b|called\b|named\b|known\s+as\b|going\s+to\s+(?:act|be|pretend|play|respond|ignore)\b|to\s+(?:act|be|respond|ignore|follow)\b"
        r"|free\s+(?:from|of|to)\b|unrestricted|unfiltered|uncensored|unbound|unchained|unlocked|liberated|jailbroken|evil|dan\b|stan\b|dude\b|aim\b|root\b|admin\b|chatgpt|[\"'\[{]\w+"
        r"|(?:in|entering|operating\s+in)\s+(?:\w+\s+){0,2}mode\b|operating\s+(?:as|under|without)\b|(?:no\s+longer|not)\s+(?:\w+\s+)?(?:bound|an?\s+(?:ai|assistant|language)|restricted|limited|constrained|chatgpt|claude))",
        _NOW_SEEN,
        _not_everyday,
    ),
    # a name in capitals after "you are now": "You are now DAN", "You are now EVIL-GPT"
    _row(
        "you-are-now-named",
        r"\b[Yy][Oo][Uu](?:'[Rr][Ee]|\s+[Aa][Rr][Ee])\s+[Nn][Oo][Ww]\s+(?:[A-Z][A-Z0-9]{2,}|[A-Z]\w*(?:GPT|Bot|AI|-[A-Z0-9])\w*)\b",
        _NOW_SEEN,
    ),
    _row(
        "from-now-on",
        r"(?i)\bfrom\s+(?:now|this\s+(?:point|moment|message))\s+(?:on(?:wards?)?|forward)?\s*,?\s*(?:you|chatgpt|the\s+(?:ai|assistant|model))(?:'ll|'re|\s+(?:are|will|must|shall|should|have\s+to|are\s+going\s+to))\s+(?:now\s+|always\s+|only\s+|to\s+)*"
        r"(?:be\s+(?:a|an|the|my|known|called|acting|playing|free)\b|a\s|an\s|the\s|act(?:ing)?\b|behave\b|play(?:ing)?\b|pretend|respond\s+(?:as|without|with\s+two|to\s+all)|answer\s+(?:as|without|all|any)|ignore|disregard|obey|called\b|named\b|simulate|impersonate|roleplay|speak\s+as|not\s+(?:\w+\s+)?(?:refuse|follow|bound|an?\s)|no\s+longer|never\s+refuse|free\b|unrestricted|unfiltered|dan\b)",
        r"(?i)\bfrom\s+(?:now|this\s+(?:point|moment|message))\s",
    ),
    _row(
        "from-now-on-act",
        r"(?i)\bfrom\s+now\s+on\b\s*,?\s*(?:act\s+as|pretend|behave\s+(?:as|like)|roleplay|ignore|obey|respond\s+(?:as|without)|you(?:r\s+name)?\s+(?:are|is)\b)",
        r"(?i)\bfrom\s+now\s+on\b",
    ),
    # jailbreak personas known by name
    _row("do-anything-now", r"(?i)\bdo\s+anything\s+now\b", ""),
    _row(
        "dan",
        r"\b(?:(?i:act(?:ing)?|respond(?:ing)?|answer(?:ing)?|behave|play|pretend|role-?play(?:ing)?|known|you|be|become|stay|simulate)\s+(?i:(?:like|as|to\s+be|are|is|be|a|in|the\s+role\s+of|being|character\s+as)\s+)*\"?'?(?:DAN|STAN|DUDE|AIM|AntiDAN|EvilBOT|BetterDAN|SuperDAN|UCAR|Mongo\s+Tom)\b"
        r"|DAN\s+(?i:mode|prompt|jailbreak|\d+(?:\.\d+)?|can|will|does|has|is\s+(?:free|not))|\[(?:DAN|JAILBREAK|JAILBROKEN|EVIL|STAN|DUDE)\]|🔓)",
        r"\b(?:DAN|STAN|DUDE|AIM|AntiDAN|EvilBOT|BetterDAN|SuperDAN|UCAR|Mongo\s+Tom|EVIL)\b|\bJAILBR|🔓",
    ),
    _row(
        "developer-mode",
        r"(?i)(?:\b(?:you(?:'re|r)?|chatgpt|gpt|claude|respond|answer|act|simulate|stay|model|ai)\b(?:[^\w.!?]+\w+){0,7}?[^\w.!?]+(?:developer|dev|debug|maintenance|god|sudo|admin|root|unrestricted)\s+mode\b"
        r"|\b(?:developer|dev|debug|maintenance|god|sudo|admin|root)\s+mode\s*(?::|=|-|is|has\s+been)?\s*(?:now\s+)?(?:enabled|activated|engaged|output|v\d|on\b|unlocked|initiated)"
        r"|(?:^|[.!?:;\n\"'(>\]]\s*)(?:now\s+|please\s+)?(?:enter|activate|initiate|engage|go\s+into|switch\s+(?:in)?to)\s+(?:developer|dev|debug|god|sudo|admin|root)\s+mode\b"
        r"|\b(?:jailbreak|jailbroken|dan|evil|unrestricted|unfiltered|uncensored|no-?filter|unsafe|opposite)\s+mode\b)",
        r"(?i)\b(?:developer|dev|debug|maintenance|god|sudo|admin|root|jailbreak|jailbroken|dan|evil|unrestricted|unfiltered|uncensored|no-?filter|unsafe|opposite)\s+mode\b",
        _not_a_device,
    ),
    # "pretend you have no restrictions", "answer without any filters"
    _row(
        "no-restrictions",
        r"(?i)\b(?:pretend|imagine|act|respond|answer|reply|behave|operate|role-?play|simulate|speak|talk|function|generate|you(?:'re|\s+are)|you)\b(?:[^\w.!?]+\w+){0,8}?[^\w.!?]+(?:without|no|free\s+(?:of|from)|lacks?|zero|unbound\s+by|not\s+(?:bound|limited|restricted|constrained)\s+by)"
        r"\s+(?:(?:any|all|the|your|such|these|those|of|kind|usual|normal|typical|safety|ethical|moral|content|legal|and|or|openai'?s?)\s+)*(?:restrictions?|filters?|filtering|limitations|limits|censorship|moral\s+(?:code|compass)|ethic\w*\s+(?:guidelines|constraints)|safeguards?|guardrails?|inhibitions|safety\s+\w+|content\s+polic\w+|(?:ethical|moral|legal)\s+\w+)\b",
        _LIMITS_SEEN,
        lambda value, before, after: not _LIMIT_OF_SOMETHING(after),
    ),
    _row(
        "disable-safety",
        r"(?i)\b(?:bypass|disable|turn(?:ing)?\s+off|circumvent|deactivate|remove|evade|lift|drop|switch\s+off|get\s+around|suspend)\s+(?:all\s+)?(?:of\s+)?your\s+(?:own\s+)?(?:\w+\s+){0,2}(?:filters?|filtering|restrictions?|guidelines|guardrails?|safeguards|protocols|policies|limitations|safety|ethics|censorship|constraints|moderation)\b",
        _LIMITS_SEEN,
    ),
    _row(
        "unfiltered-ai",
        r"(?i)\b(?:an?|the|as|completely|fully|totally)\s+(?:\w+,?\s+){0,2}(?:unrestricted|unfiltered|uncensored|jailbroken|amoral|unethical|rogue)(?:,?\s+(?:and\s+)?\w+){0,2}?\s+(?:ai|a\.i\.|chatbot|assistant|(?:language\s+)?model|llm|bot|version\s+of\s+(?:yourself|you|chatgpt|gpt))\b",
        r"(?i)\b(?:unrestricted|unfiltered|uncensored|jailbroken|amoral|unethical|rogue)\b",
    ),
)


def _LIMIT_OF_SOMETHING(after: str) -> bool:
    """ "Answer without any limits on length" asks for a long answer."""
    return after.lower().startswith((" on ", " to length", " of length", " for length"))


_FORGED = (
    _row(
        "chatml",
        r"(?i)<\|(?:im_start|im_end|im_sep|system|user|assistant|endoftext|endofprompt|begin_of_text|end_of_text|start_header_id|end_header_id|eot_id|eom_id|python_tag|start|end|message|channel|return|call|constrain|startoftext|end_of_turn|start_of_role|end_of_role|tool|prompter|start_of_turn|turn|eos|bos)\|>",
        r"<\|",
    ),
    # DeepSeek writes its tokens with U+FF5C and U+2581; NFKC turns the former into "|"
    _row(
        "deepseek-tokens",
        r"(?i)<[|｜](?:begin|end)[▁_ ]of[▁_ ](?:sentence|thinking)[|｜]>|<[|｜](?:User|Assistant|System|tool[▁_ ]\w+(?:[▁_ ]\w+)*)[|｜]>",
        r"<[|｜]",
    ),
    _row("llama-tokens", r"\[/?INST\]|<</?SYS>>|\[/?SYSTEM_PROMPT\]|\[/?AVAILABLE_TOOLS\]|\[/?TOOL_RESULTS\]"),
    _row("gemma-tokens", r"<(?:start|end)_of_turn>"),
    _row("command-r-tokens", r"<\|(?:START|END)_OF_TURN_TOKEN\|>|<\|(?:SYSTEM|USER|CHATBOT)_TOKEN\|>"),
    _row(
        "alpaca-header",
        r"(?im)(?:^|\\n|[.!?]\s)[ \t]*###\s*(?:new\s+)?(?:(?:instructions?|system|system\s+prompt|system\s+message|human|assistant)\s*:|(?:system|instruction)\s*(?:\n|\z))",
        "###",
    ),
    # not "A:", which stands after an empty line wherever questions are answered; with a forged "H:" it is found by that
    _row(
        "human-turn",
        r"(?:\n\s*\n|\\n\\n)[ \t]*(?:Human|Assistant|H): ?\S",
        r"(?:\n|\\n)[ \t]*(?:Human|Assistant|H):",
    ),
    _row(
        "system-turn",
        r"(?im)(?:^|[\n\"'`>\]\)\-]|\\n)[ \t]*[\[<#*{(]*[ \t]*(?:system|developer|admin(?:istrator)?|root|sysadmin)(?:\s+(?:prompt|message|note|notice|instructions?|override|command|update|alert|directive|admin))?[ \t]*[\]>*})]*[ \t]*[:>\]][\]>*]*[ \t\n]*\"?"
        r"(?:you(?:'re|r)?\b|obey|comply|do\s+(?:what|as|exactly|anything)|(?:answer|reply|tell|show|say|give|allow|approve|unlock|pretend|assume|treat)\b|ignor\w+|disregard|forget|from\s+now|new\s+\w+|overrid\w+|always\b|never\b|do\s+not|don'?t|act\s+as|enable|disable|activate|deactivate|reveal|respond|the\s+(?:user|assistant|above|previous|following\s+(?:user|instruct))|all\s+(?:previous|prior|safety|restrictions)|safety|previous|prior|grant|execute|switch|enter|bypass|delete|print|output|send|restrictions|this\s+(?:user|conversation|is\s+an?\s+(?:authorized|official|emergency|test|override)))",
        r"(?i)(?:system|developer|admin|administrator|root|prompt|message|note|notice|instructions?|override|command|update|alert|directive)[\]>*}) \t]{0,3}[:>\]]",
    ),
    _row(
        "system-override",
        r"(?i)(?:[\[<{(*#]+\s*(?:system|admin|administrator|developer|root|security|emergency|priority)\s+(?:override|bypass|unlock)\b|^\s*(?:system|admin|developer)\s+override\b|\b(?:override|unlock)\s+code\s*[:=]|\binitiat\w+\s+(?:system\s+)?override\b)",
        r"(?i)\b(?:override|bypass|unlock)\b",
    ),
    _row(
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
    _row(
        "reveal-prompt",
        rf"(?i)\b{_SHOW}\b(?:[^\w.!?]+\w+){{0,5}}?[^\w.!?]+(?:your|ur|its|you\s+were\s+given)\s+{_PROMPT}\b",
        _ORDERS_SEEN,
    ),
    _row(
        "reveal-the-system-prompt",
        r"(?i)\b(?:reveal|repeat|disclose|expose|leak|dump|recite|divulge|exfiltrate|print|output|show\s+me|tell\s+me|give\s+me|send\s+me)\s+(?:me\s+|us\s+|out\s+|back\s+)?(?:the|this|that|all)\s+(?:\w+\s+){0,2}(?:system\s+(?:prompt|instructions?|message)|(?:hidden|secret|initial|original|developer|internal|confidential)\s+(?:prompt|instructions?|system\s+prompt))\b",
        _ORDERS_SEEN,
    ),
    _row(
        "what-is-your-prompt",
        rf"(?i)\bwhat(?:'s|s|\s+(?:is|are|was|were|does|did|do))?\s+(?:\w+\s+){{0,3}}?(?:your|ur)\s+{_PROMPT}\b",
        _ORDERS_SEEN,
    ),
    # nobody but its author and a thief speaks of "your system prompt"
    _row(
        "your-system-prompt",
        r"(?i)\byour\s+(?:\w+\s+){0,2}system[\s_-]+(?:prompts?|messages?|instructions?)\b",
        _ORDERS_SEEN,
    ),
    _row(
        "reveal-instructions",
        r"(?i)\b(?:reveal|repeat|disclose|leak|dump|recite|divulge|print|output|show\s+me|tell\s+me)\s+(?:me\s+|back\s+|all\s+|of\s+)*your\s+(?:\w+\s+)?(?:instructions|prompt|rules|guidelines|directives|programming|configuration|training\s+data)\b",
        _ORDERS_SEEN,
    ),
    _row(
        "repeat-above",
        r"(?i)\b(?:repeat|print|output|recite|copy|echo|write\s+(?:out|down)|display|show(?:\s+me)?|reproduce|return|spell\s?check|summari[sz]e|translate)\s+(?:\w+\s+){0,2}?(?:everything|all|the\s+(?:\w+\s+)?(?:words?|text|content|message|sentences?|lines?|prompt|instructions?|conversation|paragraphs?))\s+(?:\w+\s+){0,2}?(?:above|before\s+this|prior\s+to\s+this|preceding\s+this|so\s+far\s+verbatim)\b",
        r"(?i)\b(?:above|before\s+this|prior\s+to\s+this|preceding\s+this|verbatim)\b",
    ),
)

_L = r"[^\s.,!?;:]*"
"""The rest of a word in any script, said by what ends it: RE2's `\\w` is ASCII, and `\\pL` makes a program a hundred times larger."""


def _sentence(most: int) -> str:
    """Up to `most` words between two words, in any script."""
    return rf"(?:[\s,;:]+[^\s.,!?;:]+){{0,{most}}}?[\s,;:]+"


_ES_NOUN = r"(?:instruccion(?:es)?|instrucción|indicaciones|[óo]rdenes|reglas|directrices|directivas|normas|restricciones|comandos)"
_FR_NOUN = r"(?:instructions?|consignes?|directives?|r[èe]gles?|ordres|commandes|restrictions|indications)"
_DE_NOUN = r"(?:anweisung[^\s.,!?;:]*|instruktion[^\s.,!?;:]*|regeln|vorgaben|befehle?|richtlinien|anleitung[^\s.,!?;:]*|aufforderung[^\s.,!?;:]*|einschränkungen|prompts?|systemprompt)"
_PT_NOUN = r"(?:instru[çc](?:[õo]es|[ãa]o)|regras|diretrizes|comandos|ordens|orienta[çc][õo]es|restri[çc][õo]es)"
_IT_NOUN = r"(?:istruzion[ei]|regole|direttive|indicazioni|ordini|comandi|linee\s+guida|restrizioni)"

_LANGUAGES = (
    _row("es", rf"(?i)(?:ignor(?:a|e|ar|en|ad|es|ando)|olvid(?:a|e|ar|es)|omit(?:e|a|ir)|descart(?:a|e|ar)|anul(?:a|e|ar)|desobedec[^\s.,!?;:]*|desatiend[ea]|caso\s+omiso|no\s+sigas)(?:{_sentence(4)}{_ES_NOUN}{_sentence(3)}(?:anterior(?:es)?|previas?|arriba|iniciales|recib[^\s.,!?;:]*|dadas|dado|dieron|originales)|{_sentence(2)}(?:todas|tus|sus|cualquier|anteriores|previas){_sentence(2)}{_ES_NOUN}|\s+todo\s+lo\s+(?:anterior|que\s+(?:te|se)\s))", r"(?i)ignor|olvid|omit|descart|anul|desobede|desatien|omiso|no\s+sigas"),
    _row("fr", rf"(?i)(?:ignor(?:e|ez|er|ons)|oubli(?:e|ez|er)|n[ée]glige[rz]?|contourne[rz]?|abstraction|compte|ne\s+(?:suis|suivez)\s+pas|annule[rz]?|d[ée]sob[ée]i[^\s.,!?;:]*)(?:{_sentence(4)}{_FR_NOUN}{_sentence(3)}(?:pr[ée]c[ée]dent[^\s.,!?;:]*|ant[ée]rieur[^\s.,!?;:]*|ci-dessus|initiale?s?|re[çc]ues?|donn[ée]es?|pr[ée]alables)|{_sentence(2)}(?:toutes|tes|vos){_sentence(2)}{_FR_NOUN}|\s+tout\s+ce\s+(?:qui\s+pr[ée]c[èe]de|qu(?:e|'on|i)\s))", r"(?i)ignor|oubli|n[ée]glig|contourn|abstraction|ne\s+sui|annul|tenez|d[ée]sob|tiens"),
    _row("de", rf"(?i)(?:ignorier[^\s.,!?;:]*|vergiss|vergessen|missacht[^\s.,!?;:]*|überspring[^\s.,!?;:]*|umgeh[^\s.,!?;:]*|überschreib[^\s.,!?;:]*|beachte|befolge|verwirf|außer\s+acht)(?:{_sentence(3)}(?:alle[nrms]?|vorherig[^\s.,!?;:]*|bisherig[^\s.,!?;:]*|obig[^\s.,!?;:]*|früher[^\s.,!?;:]*|vorangegangen[^\s.,!?;:]*|vorangehend[^\s.,!?;:]*|vorig[^\s.,!?;:]*|deine|ihre|ursprünglich[^\s.,!?;:]*|vorstehend[^\s.,!?;:]*){_sentence(3)}{_DE_NOUN}|{_sentence(1)}alles,?\s+was\s+(?:du|dir|ihnen|sie|ich|zuvor|vorher|oben))", r"(?i)ignorier|vergiss|vergessen|missacht|überspring|umgeh|überschreib|beachte|befolge|verwirf|außer\s+acht"),
    _row("pt", rf"(?i)(?:ignor(?:e|a|ar|em)|esque[çc][^\s.,!?;:]*|desconsider[^\s.,!?;:]*|desrespeit[^\s.,!?;:]*|descart(?:e|a|ar)|anul(?:e|a|ar)|n[ãa]o\s+siga)(?:{_sentence(4)}{_PT_NOUN}{_sentence(3)}(?:anterior(?:es)?|pr[ée]vi[ao]s|acima|iniciais|recebidas|dadas|originais)|{_sentence(2)}(?:todas|todos|suas|seus|quaisquer){_sentence(2)}{_PT_NOUN}|\s+tudo\s+o?\s*que\s+(?:foi|te|lhe|voc))", r"(?i)ignor|esque[çc]|desconsider|desrespeit|descart|anul|n[ãa]o\s+siga"),
    _row("it", rf"(?i)(?:ignor(?:a|are|ate|i|ando)|dimentic[^\s.,!?;:]*|trascur[^\s.,!?;:]*|scord[^\s.,!?;:]*|tralasci[^\s.,!?;:]*|annull[^\s.,!?;:]*|non\s+(?:considerare|seguire)|disobbed[^\s.,!?;:]*)(?:{_sentence(4)}{_IT_NOUN}{_sentence(3)}(?:precedent[ei]|anterior[ei]|sopra|iniziali|ricevut[ei]|dat[ei]|original[ei])|{_sentence(2)}(?:tutte|tutti|tue|tuoi|precedenti){_sentence(2)}{_IT_NOUN}|\s+tutto\s+(?:ci[òo]|quello)\s+che)", r"(?i)ignor|dimentic|trascur|scord|tralasci|annull|non\s+(?:considerare|seguire)|disobbed"),
    _row("zh", r"(?:忽略|忽视|忽視|无视|無視|忘记|忘記|忘掉|不要理会|不要遵守|不要遵循|不再遵守|绕过|繞過|跳过|覆盖|抛开|拋開|丢弃|取消|违反|删除).{0,12}(?:之前|以上|上面|上述|先前|前面|所有|全部|此前|你的|原有|系统|系統|任何|一切|原来|早先|预设|你收到|给你).{0,12}(?:指令|指示|规则|規則|提示|命令|说明|說明|设定|設定|限制|约束|准则|要求|内容|对话)|(?:之前|以上|先前|上述|所有).{0,8}(?:指令|指示|规则|提示|命令).{0,6}(?:无效|作废|忽略|失效|取消)", r"忽略|忽视|忽視|无视|無視|忘记|忘記|忘掉|不要理会|遵守|遵循|绕过|繞過|跳过|覆盖|抛开|拋開|丢弃|取消|违反|删除|无效|作废|失效"),
    _row("ja", r"(?:以前|これまで|前|上記|先ほど|すべて|全て|上|今まで|最初|元|システム|あらゆる|過去|それまで|直前).{0,12}(?:指示|命令|ルール|指令|プロンプト|規則|制約|制限|設定|ガイドライン|内容|インストラクション).{0,8}(?:無視|忘れ|破棄|取り消|従わない|従うな|上書き|リセット|スキップ)", r"無視|忘れ|破棄|取り消|従わな|従うな|上書き|リセット|スキップ"),
    _row("ko", r"(?:이전|위|앞|모든|기존|지금까지|이전의|시스템|원래).{0,12}(?:지시|명령|규칙|지침|프롬프트|안내|설명|제한|내용|명령어).{0,8}(?:무시|잊|따르지|건너뛰|취소|우회|버려|폐기)", r"무시|잊|따르지|건너뛰|취소|우회|버려|폐기"),
    _row("ru", rf"(?i)(?:игнорир{_L}|проигнорир{_L}|забуд{_L}|не\s+обращай{_L}\s+внимания|отмени{_L}|пренебре{_L}|обойд{_L}|отбрось{_L}|не\s+следуй{_L}|нарушь{_L}){_sentence(3)}(?:предыдущ{_L}|прошл{_L}|прежн{_L}|вс[еёю]х?|выше{_L}|ранее|сво[иё]{_L}|тво[иё]{_L}|эти|любые|предшеств{_L}|перв{_L}|исходн{_L}){_sentence(3)}(?:инструкц{_L}|указан{_L}|правил{_L}|команд{_L}|директив{_L}|распоряжен{_L}|подсказ{_L}|промпт{_L}|ограничен{_L}|настро{_L})", r"(?i)игнорир|забуд|не\s+обращай|отмени|пренебре|обойд|отбрось|не\s+следуй|нарушь"),
    _row("ar", rf"(?:تجاهل|تجاهلي|تجاهلوا|انس|انسى|انسَ|إنس|تخط|تخطي|تجاوز|أهمل|اهمل|لا\s+تتبع){_L}{_sentence(3)}?(?:[^\s.,!?;:]*تعليمات[^\s.,!?;:]*|[^\s.,!?;:]*أوامر[^\s.,!?;:]*|[^\s.,!?;:]*اوامر[^\s.,!?;:]*|[^\s.,!?;:]*قواعد[^\s.,!?;:]*|[^\s.,!?;:]*توجيهات[^\s.,!?;:]*|[^\s.,!?;:]*إرشادات[^\s.,!?;:]*|[^\s.,!?;:]*ارشادات[^\s.,!?;:]*|[^\s.,!?;:]*قيود[^\s.,!?;:]*){_sentence(3)}(?:[^\s.,!?;:]*سابق[^\s.,!?;:]*|أعلاه|اعلاه|[^\s.,!?;:]*أصلي[^\s.,!?;:]*|قبل)|(?:تجاهل|انس|تخط|تجاوز){_L}\s+(?:جميع|كل|كافة)\s+[^\s.,!?;:]*(?:تعليمات|أوامر|قواعد|توجيهات|إرشادات|قيود)", r"تجاهل|انس|إنس|تخط|تجاوز|أهمل|اهمل|تتبع"),
    _row("hi", rf"(?:पिछल{_L}|पहले|पूर्व|ऊपर|सभी|सारे|उपरोक्त|अपने|पुराने){_sentence(4)}(?:निर्देश{_L}|नियम{_L}|आदेश{_L}|अनुदेश{_L}|हिदायत{_L}|प्रॉम्प्ट){_sentence(3)}?(?:अनदेखा|अनदेखी|नज़रअंदाज़|नजरअंदाज|नज़र|भूल|उपेक्षा|इग्नोर|छोड़|अवहेलना)", r"अनदेख|नज़र|नजर|भूल|उपेक्षा|इग्नोर|छोड़|अवहेलना"),
)  # fmt: skip


def _order(slug: str, verbs: str, which: str, nouns: str) -> Rule:
    """Verb, then "previous" or "all" or "your" and what is to be ignored, in either order, each with any ending."""
    which, nouns = rf"(?:{which}){_L}", rf"(?:{nouns}){_L}"
    either = rf"(?:{which}{_sentence(2)}{nouns}|{nouns}{_sentence(2)}{which})"
    return _row(slug, rf"(?i)(?:{verbs}){_L}{_sentence(2)}{either}", rf"(?i)(?:{verbs})", _ordered)


def _order_verb_last(slug: str, which: str, nouns: str, verbs: str) -> Rule:
    return _row(
        slug,
        rf"(?i)(?:{which}){_L}{_sentence(3)}(?:{nouns}){_L}{_sentence(2)}(?:{verbs})",
        rf"(?i)(?:{verbs})",
        _ordered,
    )


def _ordered(value: str, before: str, after: str) -> bool:
    """Not "how do I ignore the previous rules?" in Vietnamese, Thai and Turkish, whose verb says so beside itself."""
    return not before.rstrip().endswith(("để", "จะ")) and not after.startswith(("ar", "abil"))


_MORE_LANGUAGES = (
    _order("pl", "ignoruj|zignoruj|zapomnij|pomiń|odrzuć|nie przestrzegaj", "wszystk|wszelk|poprzedn|wcześniejsz|powyższ|swo|dotychczas|pierwotn", "instrukcj|poleceni|poleceń|zasad|wytyczn|reguł|nakaz"),
    _order("nl", "negeer|vergeet|omzeil|sla", "alle|vorige|eerdere|voorgaande|bovenstaande|je |jouw|uw |oorspronkelijke", "instructie|regels|opdracht|aanwijzing|richtlijn|bevelen"),
    _order("uk", "ігнор|проігнор|забудь|відкинь|не зважай", "всі|усі|попередн|вище|сво|тво|будь-як", "інструкці|вказів|правил|команд|настанов"),
    _order("sv-da-no", "ignorer|glöm|glem|bortse|se bort", "alla|alle|tidigare|tidligere|föregående|foregående|forrige|ovanstående|ovenstående|ovenfor|dina|dine", "instruktion|instruks|anvisning|regler|riktlinj|retningslinj|befalin"),
    _order("cs", "ignoruj|zapomeň|nedbej|přehlížej", "všechn|všech|předchoz|dřívějš|svoj|své", "instrukc|pokyn|pravidl|příkaz"),
    _order("ro", "ignor|uită|uitați|nu ține cont", "toate|anterioare|precedente|tale|de mai sus", "instrucțiuni|instructiuni|regul|comenzi|indicați"),
    _order("el", "αγνόησε|αγνοήστε|ξέχασε|ξεχάστε|παράβλεψε", "όλες|όλους|προηγούμεν|παραπάνω|σου", "οδηγί|εντολ|κανόν"),
    _order("he", "התעלם|התעלמי|תתעלם|שכח|תשכח", "כל |קודמות|הקודמות|שלך|לעיל", "הוראות|ההוראות|מההוראות|הנחיות|ההנחיות|מההנחיות|כללים|הכללים"),
    _order("id", r"\babaikan|lupakan|hiraukan", "semua|seluruh|sebelum|di ?atas|tadi|anda|kamu|awal", "instruksi|perintah|aturan|arahan|petunjuk|pedoman"),
    _order("vi", "bỏ qua|quên|phớt lờ|lờ đi|đừng làm theo", "tất cả|mọi|các|những|trước|trên|của bạn|đi", "hướng dẫn|chỉ dẫn|chỉ thị|quy tắc|mệnh lệnh|lệnh|yêu cầu"),
    _order("tl", "huwag pansinin|huwag mong pansinin|kalimutan|balewalain|isantabi", "lahat|nakaraan|naunang|nauna|iyong|mga", "tagubilin|utos|instruksyon|panuntunan|instruction"),
    _order_verb_last("tr", "öncek[iİ]|tüm|bütün|yukarıdaki|daha önce|geçmiş|verilen", "tal[iİ]mat|yönerge|kural|komut|emir|emr|yönlendirme", "yok say|görmezden gel|unut|boş ver|dikkate alma|göz ardı|geçersiz"),
    _order_verb_last("bn", "আগের|পূর্বের|পূর্ববর্তী|উপরের|সমস্ত|সব|সকল", "নির্দেশ|নিয়ম|নিয়ম|আদেশ|বিধি", "উপেক্ষা|ভুলে|অগ্রাহ্য|বাদ দ"),
    _order_verb_last("fa", "دستور|فرمان|راهنما|قوانین|قانون|قواعد", "قبلی|پیشین|بالا|بالایی|خود", "نادیده|فراموش"),
    _row("th", "(?:ละเว้น|เพิกเฉย|ลืม|ไม่ต้องสนใจ|อย่าสนใจ|ข้าม|ไม่สนใจ|เมิน).{0,24}(?:คำสั่ง|คำแนะนำ|กฎ|ข้อกำหนด).{0,24}(?:ก่อนหน้า|ทั้งหมด|ข้างต้น|เดิม|ของคุณ)", "ละเว้น|เพิกเฉย|ลืม|สนใจ|ข้าม|เมิน", _ordered),
    # "ignore the above", and nothing named
    _row(
        "above-abroad",
        r"(?i)(?:(?:ignora|ignore|olvida|olvide|omite)\s+(?:todo\s+)?lo\s+(?:anterior|de\s+arriba)|(?:ignore|oublie)[rz]?\s+(?:tout\s+)?ce\s+qui\s+pr[ée]c[èe]de"
        r"|(?:ignorieren\s+sie|ignoriere|vergiss|vergessen\s+sie)\s+(?:alles\s+|das\s+)?(?:obige|vorherige|bisherige|vorstehende|vorangegangene|oben\s+stehende)"
        r"|(?:ignore|esque[çc]a|desconsidere)\s+(?:tudo\s+)?(?:o\s+)?(?:que\s+est[áa]\s+)?(?:acima|anterior)|(?:ignora|ignori|ignorate|dimentica)\s+(?:tutto\s+)?(?:quanto\s+(?:sopra|precede)|ci[òo]\s+che\s+precede)"
        r"|(?:игнорируй|проигнорируй|забудь)(?:те)?\s+(?:вс[её]\s+)?(?:вышеизложенн|вышесказанн|вышеуказанн|вышенаписанн|предыдущее|то,\s+что\s+выше|вс[её],?\s+что\s+(?:тебе|вам|было|выше|я))"
        r"|(?:yukarıdakiler|bundan\s+öncekiler)[^\s.,!?;:]*\s+(?:hepsini\s+)?(?:yok\s+say|görmezden\s+gel|unut)|(?:abaikan|lupakan)\s+(?:semua\s+)?(?:yang|yg)\s+(?:di\s?atas|sebelumnya)"
        r"|(?:ऊपर|उपरोक्त)(?:\s+(?:की|के|दी|दिए|लिखी)\s+[^\s.,!?;:]+)?(?:\s+गई\s+[^\s.,!?;:]+)?(?:\s+को)?\s+(?:अनदेखा|अनदेखी|नज़रअंदाज़|नजरअंदाज)|(?:忽略|无视|無視|忘记|忘掉)(?:掉)?(?:以上|上述|上面|之前|前面)(?:的)?(?:所有|一切|全部)?(?:内容|內容|文字|信息|话)?(?:[，。,.!！]|\z|并|並|然后|然後))",
        r"(?i)anterior|arriba|pr[ée]c[èe]de|obige|vorherige|bisherige|vorstehende|vorangegangene|stehende|acima|sopra|выше|предыдущее|что|yukarıdakiler|öncekiler|abaikan|lupakan|ऊपर|उपरोक्त|忽略|无视|無視|忘记|忘掉",
    ),
)  # fmt: skip


RULES: tuple[Rule, ...] = (*_OVERRIDES, *_PERSONA, *_FORGED, *_LEAK, *_LANGUAGES, *_MORE_LANGUAGES)
