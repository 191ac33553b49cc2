# Keeps replies short, and half of the made-up models real: otherwise a run would wait for long texts, or never see one.
import zlib

import schemathesis

MODEL = "smollm2-135m-franken-0-23-27-31"
MOST_TOKENS = 3
MOST_CHOICES = 2
LENGTHS = {
    "/v1/chat/completions": ("max_completion_tokens", "max_tokens"),
    "/v1/completions": ("max_tokens",),
    "/v1/responses": ("max_output_tokens",),
}


def is_whole(value):
    """What JSON Schema calls an integer, 2000.0 too. What is none is left as it is: it is there to be refused."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value % 1 == 0


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
    for name in ("n", "best_of"):
        if is_whole(body.get(name)) and MOST_CHOICES < body[name] <= 16:
            body[name] = MOST_CHOICES
