# Keeps prompts and replies short, and half of the made-up models real: otherwise a run would wait for long texts, or for 128 of them at a
# time, or never see one.
import zlib

import schemathesis

MODEL = "smollm2-135m-franken-all-except-last-two"
MOST_TOKENS = 3
MOST_CHOICES = 2
MOST_PROMPTS = 2
# The service refuses more prompts than this; then there is nothing to wait for.
ALLOWED_PROMPTS = 128
MOST_IDS = 64
MOST_CHARACTERS = 256
LENGTHS = {
    "/v1/chat/completions": ("max_completion_tokens", "max_tokens"),
    "/v1/completions": ("max_tokens",),
    "/v1/responses": ("max_output_tokens",),
}


def is_whole(value):
    """What JSON Schema calls an integer, 2000.0 too. What is none is left as it is: it is there to be refused."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value % 1 == 0


def shortened(prompt):
    """The first of a completion's prompts, each cut; what the service would refuse is left as it is."""
    if isinstance(prompt, str):
        return prompt[:MOST_CHARACTERS]
    if not isinstance(prompt, list) or not prompt:
        return prompt
    if all(is_whole(item) for item in prompt):
        return prompt if any(item < 0 for item in prompt) else prompt[:MOST_IDS]
    one_kind = all(isinstance(item, str) for item in prompt) or all(
        isinstance(item, list) and item and all(is_whole(id) and id >= 0 for id in item) for item in prompt
    )
    if not one_kind or len(prompt) > ALLOWED_PROMPTS:
        return prompt
    return [shortened(item) for item in prompt[:MOST_PROMPTS]]


@schemathesis.hook
def before_call(context, case, kwargs):
    names = LENGTHS.get(case.operation.path)
    body = case.body
    if names is None or not isinstance(body, dict):
        return
    model = body.get("model")
    if isinstance(model, str) and model and zlib.crc32(model.encode("utf-8", "replace")) % 2:
        body["model"] = MODEL
    for name in names:
        if is_whole(body.get(name)) and body[name] > MOST_TOKENS:
            body[name] = MOST_TOKENS
    if all(body.get(name) is None for name in names):
        body[names[0]] = MOST_TOKENS
    for name in ("prompt", "input"):
        if isinstance(body.get(name), str) or name == "prompt" and name in body:
            body[name] = shortened(body[name])
    for name in ("n", "best_of"):
        if is_whole(body.get(name)) and MOST_CHOICES < body[name] <= 16:
            body[name] = MOST_CHOICES
