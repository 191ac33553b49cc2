"""Asks transformers for a folder's likelihoods and greedy text. Arguments: the folder, and a JSON of {texts, prompts: token ids, count}
and perhaps adapter: the folder of one for PEFT to put on it.

Prints {version, tokens: ids of the texts, answers: [{nll, greedy}]}.
"""

import json
import sys

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

folder, request = sys.argv[1:]
request = json.loads(request)
torch.set_num_threads(2)
model, report = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
assert not any(report.values()), report
# The end is a token as any other: greedy text goes on after it, as ours does.
model.generation_config.eos_token_id = None
if "adapter" in request:
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors.torch import load_file

    model = PeftModel.from_pretrained(model, request["adapter"]).eval()
    loaded = get_peft_model_state_dict(model)
    stored = load_file(f"{request['adapter']}/adapter_model.safetensors")
    assert loaded.keys() == stored.keys(), loaded.keys() ^ stored.keys()
    assert all(torch.equal(loaded[name], stored[name]) for name in stored)
answers = []
with torch.no_grad():
    for prompt in request["prompts"]:
        ids = torch.tensor([prompt])
        logprobs = model(ids).logits.double().log_softmax(-1)[0]
        nll = [-logprobs[i, token].item() for i, token in enumerate(prompt[1:])]
        out = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=request["count"], do_sample=False)
        answers.append({"nll": nll, "greedy": out[0, len(prompt) :].tolist()})
tokens = []
if request["texts"]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokens = [tokenizer(text)["input_ids"] for text in request["texts"]]
    bos = int(tokens[0][0] == tokenizer.bos_token_id)
    assert tokenizer.decode(tokens[0][bos:]) == request["texts"][0]
print(json.dumps({"version": transformers.__version__, "tokens": tokens, "answers": answers}))
