#!/usr/bin/env python3
"""Writes conf/prices.toml from LiteLLM's public price list.

    pip download --no-deps litellm && unzip litellm-*.whl 'litellm/model_prices*'
    scripts/import-prices.py litellm/model_prices_and_context_window_backup.json --edition litellm-1.109.1 > new.toml
    tollgate prices import new.toml        # checks it, shows what changes, installs it

Prices are read as decimals and written as decimal strings per million tokens: no float touches them. What the list does
not tell is left out, and the gateway takes the dearer reading (see src/pricing). Off-peak discounts are left out: the
price is that of peak hours. Models listed as free are left out too: a price of nothing is more often a gap in the list.
"""

import argparse
import json
import re
import sys
from decimal import ROUND_UP, Decimal

# Our name of a provider: theirs, and the prefixes of their keys.
PROVIDERS = {
    "anthropic": ({"anthropic"}, ["anthropic/"]),
    "azure": ({"azure", "azure_text", "azure_ai"}, ["azure/", "azure_ai/"]),
    "bedrock": ({"bedrock", "bedrock_converse", "bedrock_mantle"}, ["bedrock/", "bedrock_mantle/"]),
    "deepseek": ({"deepseek"}, ["deepseek/"]),
    "gemini": ({"gemini"}, ["gemini/"]),
    "groq": ({"groq"}, ["groq/"]),
    "mistral": ({"mistral"}, ["mistral/"]),
    "openai": ({"openai", "text-completion-openai"}, ["openai/"]),
    "vertex": (None, ["vertex_ai/"]),
    "xai": ({"xai"}, ["xai/"]),
}
MODES = {"chat", "responses", "completion", "embedding"}
RATES = {
    "input": ["input_cost_per_token"],
    "output": ["output_cost_per_token"],
    "cache_read": ["cache_read_input_token_cost", "input_cost_per_token_cache_hit"],
    "cache_write_5m": ["cache_creation_input_token_cost"],
    "cache_write_1h": [
        "cache_creation_input_token_cost_above_12hr",
        "cache_creation_input_token_cost_above_1hr",
    ],
    "reasoning": ["output_cost_per_reasoning_token"],
    "audio_input": ["input_cost_per_audio_token"],
    "audio_output": ["output_cost_per_audio_token"],
    "image_input": ["input_cost_per_image_token"],
    "image_output": ["output_cost_per_image_token"],
}
TIERS = {"batch": "_batches", "flex": "_flex", "priority": "_priority", "fast": "_ultrafast"}
# Fees of a provider's own tools, from its price page: web search and file search per thousand calls, the rest each.
FEES = {
    "anthropic": {"web_search": "10", "code_session": "0.05"},
    "azure": {"web_search": "14", "tool_call": "2.5", "code_session": "0.03", "image": "0.25"},
    "bedrock": {},
    "deepseek": {},
    "gemini": {"web_search": "35"},
    "groq": {"web_search": "8", "tool_call": "5"},
    "mistral": {"web_search": "30", "code_session": "0.03", "image": "0.1"},
    "openai": {"web_search": "10", "web_search_preview": "25", "tool_call": "2.5", "code_session": "0.03", "image": "0.25"},
    "vertex": {"web_search": "45"},
    "xai": {"web_search": "25", "tool_call": "5"},
}
MILLION = Decimal(1_000_000)


def decimal(amount):
    """A plain decimal string, rounded up at the ninth digit."""
    amount = amount.quantize(Decimal("1e-9"), rounding=ROUND_UP).normalize()
    return format(amount, "f")


def rates(entry, suffix, below=None):
    """The rates whose fields end in `suffix`; those missing are the dearer of `below`'s parts."""
    found = {}
    for name, fields in RATES.items():
        for field in fields:
            value = entry.get(field + suffix)
            if isinstance(value, (Decimal, int)):
                found[name] = Decimal(value) * MILLION
                break
    if below:
        for name, value in below.items():
            found.setdefault(name, value)
    return found


def thresholds(entry):
    tokens = {int(m[1]) for f in entry if (m := re.search(r"_above_(\d+)k_tokens", f))}
    return sorted(tokens)


def repair(table):
    """The two slips of the list that would break our own rules, both towards the dearer."""
    if table.get("cache_read", 0) > table["input"]:
        table["input"] = table["cache_read"]
    if "cache_write_1h" in table and table["cache_write_1h"] < table.get("cache_write_5m", 0):
        table["cache_write_1h"] = table["cache_write_5m"]
    return table


def dearer(one, other):
    return {name: max(one.get(name, Decimal(0)), other.get(name, Decimal(0))) for name in one | other}


def ladder(entry, tier, standard, inclusive):
    """Base and steps of one tier. A step that the list lacks for a tier costs the dearer of the tier and the standard step."""
    suffix = TIERS.get(tier, "")
    base = rates(entry, suffix, standard and standard["base"])
    if not base or "input" not in base or "output" not in base:
        return None
    steps, below = [], base
    for k in thresholds(entry):
        own = rates(entry, f"_above_{k}k_tokens{suffix}")
        floor = below
        if standard:
            same = next((s for t, s in standard["over"] if t == k), None)
            floor = dearer(below, same) if same and not own else below
        step = repair(dearer(floor, own | {n: v for n, v in floor.items() if n not in own}))
        steps.append((k, step))
        below = step
    tokens = [(k, s) for k, s in steps if s != base]
    return {"base": repair(base), "over": tokens, "inclusive": inclusive}


def inline(table, against=None):
    told = {n: v for n, v in table.items() if against is None or against.get(n) != v}
    return ", ".join(f'{name} = "{decimal(told[name])}"' for name in RATES if name in told)


def steps(ladder):
    lines, below = [], ladder["base"]
    for k, step in ladder["over"]:
        tokens = k * 1000 - (1 if ladder["inclusive"] else 0)
        lines.append(f"{{ tokens = {tokens:_}, {inline(step, below)} }}")
        below = step
    return f"[{', '.join(lines)}]"


def fee(entry):
    sizes = entry.get("search_context_cost_per_query") or {}
    costs = [Decimal(v) for v in sizes.values() if isinstance(v, (Decimal, int))]
    return decimal(max(costs) * 1000) if costs else None


def regional(entry):
    special = entry.get("provider_specific_entry") or {}
    factors = [special.get("us")] + [
        v for f, v in entry.items() if f.startswith(("regional_processing_uplift", "regional_endpoint_uplift"))
    ]
    return max((Decimal(f) for f in factors if f is not None), default=None)


def tiers(entry, standard, inclusive):
    found = {}
    for tier, suffix in TIERS.items():
        if any(f.endswith(suffix) for f in entry):
            found[tier] = ladder(entry, tier, standard, inclusive)
    factor = (entry.get("provider_specific_entry") or {}).get("fast")
    if factor is not None:
        times = lambda table: {name: value * Decimal(factor) for name, value in table.items()}
        over = [(k, times(step)) for k, step in standard["over"]]
        found["fast"] = {"base": times(standard["base"]), "over": over, "inclusive": inclusive}
    for tier, own in found.items():
        for name in ("input", "output"):
            low, high = own["base"], standard["base"]
            if tier in ("priority", "fast"):
                low, high = high, low
            if low[name] > high[name]:
                print(f"note: {tier} is on the wrong side of the standard", file=sys.stderr)
                own["base"][name] = standard["base"][name]
    return found


def model(provider, key, entry):
    """The lines of one model but its name, or None when it has no price."""
    inclusive = provider == "xai"
    standard = ladder(entry, "standard", None, inclusive)
    if standard is None and entry.get("mode") == "embedding" and "input_cost_per_token" in entry:
        entry = entry | {"output_cost_per_token": Decimal(0)}
        standard = ladder(entry, "standard", None, inclusive)
    if standard is None or not (standard["base"]["input"] or standard["base"]["output"]):
        return None
    lines = []
    context = entry.get("max_input_tokens") or entry.get("max_tokens")
    steepest = max((k for k, _ in standard["over"]), default=0) * 1000
    if isinstance(context, int):
        lines.append(f"context = {max(context, 1_000_000 if steepest >= context else 0):_}")
    output = entry.get("max_output_tokens") or entry.get("max_tokens")
    if isinstance(output, int):
        lines.append(f"max_output = {output:_}")
    if (factor := regional(entry)) and factor > 1:
        lines.append(f'regional = "{decimal(factor)}"')
    if own := fee(entry):
        # The list has OpenAI's price of the earlier tool, where that differs, unless the model searches without one.
        earlier = provider == "openai" and own != FEES[provider]["web_search"] and "-search" not in key
        lines.append(f'fees = {{ {"web_search_preview" if earlier else "web_search"} = "{own}" }}')
    lines.append(f"price = {{ {inline(standard['base'])} }}")
    if standard["over"]:
        lines.append(f"over = {steps(standard)}")
    for tier, own in tiers(entry, standard, inclusive).items():
        over = f", over = {steps(own)}" if own["over"] else ""
        told = inline(own["base"], standard["base"])
        if told or over:
            lines.append(f"{tier} = {{ {told}{over if told else over[2:]} }}")
    return lines


def undated(name):
    return re.sub(r"(-20\d\d-[01]\d-[0-3]\d|[-@]20\d\d[01]\d[0-3]\d)$", "", name)


def collect(listed):
    """(provider, id) to lines; of two keys for one model the dearer-looking (longer) entry stays."""
    models = {}
    for key, entry in listed.items():
        if not isinstance(entry, dict) or entry.get("mode") not in MODES:
            continue
        theirs = str(entry.get("litellm_provider"))
        for provider, (names, prefixes) in PROVIDERS.items():
            if theirs not in names if names else not theirs.startswith("vertex_ai"):
                continue
            name = next((key[len(p) :] for p in prefixes if key.startswith(p)), key)
            lines = model(provider, key, entry)
            if lines and len(str(lines)) >= len(str(models.get((provider, name), ""))):
                models[provider, name] = lines
    return models


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("list")
    arguments.add_argument("--edition", required=True, help="what the audit will call this edition")
    options = arguments.parse_args()
    with open(options.list, encoding="utf-8") as file:
        listed = json.load(file, parse_float=Decimal)
    models = collect(listed)
    # A dated name with the price of its undated one is found by that.
    spare = {k for k in models if undated(k[1]) != k[1] and models.get((k[0], undated(k[1]))) == models[k]}
    print(f"# Prices in dollars per million tokens. Written by scripts/import-prices.py; negotiated prices belong in an overlay.")
    print(f'revision = "{options.edition}"\n')
    print("# How often a provider may call its own tools in a request that sets no bound, and what one result adds: for quotes.")
    print("[terms]\ntool_calls = 10\ntool_result_tokens = 20_000")
    print("\n# `tier` and `regional` say what the account does with requests that name neither. `web_search_preview` is the price of")
    print("# OpenAI's earlier tool; where only `web_search` is told, that holds for both.")
    for provider, fees in FEES.items():
        print(f'\n[provider.{provider}]\ntier = "standard"\nregional = false')
        if fees:
            print("fees = { " + ", ".join(f'{n} = "{v}"' for n, v in fees.items()) + " }")
    for (provider, name), lines in sorted(models.items()):
        if (provider, name) in spare:
            continue
        print(f'\n[[model]]\nprovider = "{provider}"\nid = "{name}"')
        dated = [n for p, n in models if p == provider and undated(n) == undated(name)]
        if dated == [name] and undated(name) != name:
            print(f'aliases = ["{undated(name)}"]')
        print("\n".join(lines))


if __name__ == "__main__":
    main()
