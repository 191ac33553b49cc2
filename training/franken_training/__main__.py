"""python -m franken_training prepare | sample | distill | eval: each says more with --help."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch

from . import artifact, curve, evaluate
from .checkpoint import read_checkpoint
from .corpus import HELD_ROWS, Mixture, read_corpus
from .distill import NotFinite, Schedule, Trainer, distill, teacher_of
from .model import Blocks, Model, base_model, parse_plan, whole
from .sample import sample_rows
from .student import full_student, lora_student


def device_of(args: argparse.Namespace) -> str:
    return args.device or ("cuda" if torch.cuda.is_available() else "cpu")


def run_sample(args: argparse.Namespace) -> None:
    """Samples rows until `--rows` or `--seconds`; writes OUT/KIND-SEED.npz, a student's to OUT/KIND-own-SEED.npz.

    A student's plans write a batch each in turn.
    """
    device = device_of(args)
    checkpoint = read_checkpoint(args.model)
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    models = [base_model(checkpoint, device, dtype)]
    if args.student:
        models = artifact.student_models(args.student, checkpoint, models[0])
    begun, done = time.monotonic(), {kind: [] for kind in args.kinds}
    batch = 0
    while sum(len(b) * args.batch for b in done.values()) < args.rows:
        if args.seconds and batch and (time.monotonic() - begun) * (batch + 1) / batch > args.seconds:
            break
        kind = args.kinds[batch % len(args.kinds)]
        model = models[batch // len(args.kinds) % len(models)]
        ids = sample_rows(model, kind, args.prefixes, args.batch, args.tokens, args.seed, batch)
        done[kind].append(ids)
        batch += 1
        spent = time.monotonic() - begun
        print(f"{kind}: {batch * args.batch} rows, {spent:.0f} s, "
              f"{batch * args.batch * args.tokens / spent / 1e3:.0f}k tokens/s", flush=True)  # fmt: skip
    args.out.mkdir(parents=True, exist_ok=True)
    for kind, parts in done.items():
        if parts:
            own = "-own" if args.student else ""
            np.savez(args.out / f"{kind}{own}-{args.seed}.npz", ids=np.concatenate(parts))


def mixture_of(args: argparse.Namespace) -> Mixture:
    """Groups from `--data GROUP=FILE,…` and `--share GROUP=N`; `held:FILE` leaves held rows out."""
    shares = {name: float(value) for name, value in (s.split("=") for s in args.share)}
    groups = {}
    for group, files in (d.split("=", 1) for d in args.data):
        if group not in shares:
            raise ValueError(f"--data {group}=… has no --share {group}=N")
        groups[group] = [
            read_corpus(Path(f.removeprefix("held:")), args.tokens, f.startswith("held:"))
            for f in files.split(",")
        ]
    return Mixture(groups, shares, args.seed)


def student_of(args: argparse.Namespace, checkpoint, device: str):  # noqa: ANN001, ANN201
    """`--plan ID=SLOTS` over the base's layers; the first is the source that the others cut."""
    plans = {name: parse_plan(text) for name, text in (p.split("=", 1) for p in args.plan)}
    source = next(iter(plans.values()))
    if args.rank:
        if len(plans) > 1:
            raise ValueError("an adapter has one plan")
        if args.train or args.start:
            raise ValueError("an adapter is trained whole and from nothing: leave --train and --start out")
        return lora_student(checkpoint, source, next(iter(plans)), args.rank, device, args.seed)
    trained = parse_plan(args.train) if args.train else None
    return full_student(checkpoint, source, plans, device, trained)


def run_distill(args: argparse.Namespace) -> None:
    """Trains, then writes OUT/student (what `franken import` takes) and OUT/curve.svg."""
    device = device_of(args)
    torch.manual_seed(args.seed)
    torch.backends.cuda.matmul.allow_tf32 = True
    checkpoint = read_checkpoint(args.model)
    mixture = mixture_of(args)
    student = student_of(args, checkpoint, device)
    start = artifact.start_from(args.start, student, checkpoint) if args.start else {}
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    teacher = teacher_of(checkpoint, device, dtype, compiled=device == "cuda")
    schedule = Schedule(args.rate, args.rows, args.warmup, args.steps, args.seconds, args.optimizer)
    args.out.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(student, teacher, schedule, compiled=device == "cuda")
    try:
        progress = distill(trainer, mixture, args.out, args.resume)
    except NotFinite as error:
        print(f"stopped: {error}; {args.out / 'state.pt'} has the last good state", file=sys.stderr)
        raise SystemExit(1) from error
    data = {f"data:{c['group']}/{c['name']}": c["sha256"] for c in mixture.provenance()}
    titles = dict(t.split("=", 1) for t in args.title)
    provenance = {
        "method": "distill",
        "seed": args.seed,
        "arguments": {
            "plans": "; ".join(args.plan), "train": args.train or "all", "rank": args.rank,
            **start, "share": " ".join(args.share),
            "rate": args.rate, "optimizer": args.optimizer, "rows": args.rows, "rowTokens": args.tokens,
            "steps": progress.step, "tokens": progress.tokens, **data,
        },
    }  # fmt: skip
    titles = {name: titles.get(name, name) for name in student.plans}
    artifact.write_student(args.out / "student", student, args.id, args.base, titles, provenance)
    curve.draw({args.id: args.out / "progress.json"}, args.out / "curve.svg")
    if args.eval:
        score(args, checkpoint, {
            name: (plan, artifact.served_layers(student, torch.float32))
            for name, plan in student.plans.items()
        }, device)  # fmt: skip


def score(args, checkpoint, models: dict, device: str) -> None:  # noqa: ANN001
    """Scores plans in fp32 arithmetic and prints one JSON line each; OUT/scores.json has all."""
    torch.backends.cuda.matmul.allow_tf32 = False
    base = base_model(checkpoint, device, torch.float32)
    file = args.out / "scores.json"
    results = json.loads(file.read_text()) if file.exists() else {}
    held = np.load(args.eval / "held.npy") if (args.eval / "held.npy").exists() else None
    for name, (plan, (layers, norm)) in models.items():
        model = Model(checkpoint.shape, plan, layers, base.embedding, norm, Blocks(False))
        begun = time.monotonic()
        found = {
            "hellaswag": evaluate.hellaswag(model, args.eval / "hs.npz", args.items),
            "wikitext": evaluate.wikitext(model, args.eval / "wt.npz", args.pages),
        }
        if held is not None:
            found["chat"] = evaluate.agreement(model, base, held[: args.held])
        results[name] = found
        args.out.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(results, indent=1))
        print(name, json.dumps(found), f"{time.monotonic() - begun:.0f} s", flush=True)


def run_eval(args: argparse.Namespace) -> None:
    """Scores the base, plans over its layers, or the student in a run's folder."""
    device = device_of(args)
    checkpoint = read_checkpoint(args.model)
    base = base_model(checkpoint, device, torch.float32)
    plans = {n: parse_plan(t) for n, t in (p.split("=", 1) for p in args.plan)}
    models = {n: (p, (base.layers, base.norm)) for n, p in plans.items()}
    if args.student:
        models |= artifact.read_student(args.student, checkpoint, device)
    if not models:
        models = {"base": (whole(checkpoint.shape.layers), (base.layers, base.norm))}
    score(args, checkpoint, models, device)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="franken_training", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)

    def command(name: str, run, text: str) -> argparse.ArgumentParser:  # noqa: ANN001
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(run=run)
        made.add_argument("--out", type=Path, required=True, help="folder that the command writes")
        made.add_argument("--device", help="cuda or cpu; default: cuda where there is one")
        made.add_argument("--seed", type=int, default=1)
        return made

    def model_argument(made: argparse.ArgumentParser) -> None:
        made.add_argument("--model", type=Path, required=True, help="GGUF file, or folder of its parts")
        made.add_argument("--tokens", type=int, default=768, help="tokens a row")

    def eval_arguments(made: argparse.ArgumentParser) -> None:
        made.add_argument("--items", type=int, help="HellaSwag sample of this many items; default: all")
        made.add_argument("--pages", type=int, help="first pages of WikiText-2; default: all")
        made.add_argument("--held", type=int, default=HELD_ROWS, help="held chats to compare on")

    made = command("prepare", run_prepare, "tokenizes texts and tasks")
    made.add_argument("--gguf", type=Path, required=True, help="the base, for its tokenizer")
    made.add_argument("--text", action="append", default=[], metavar="NAME=FILE", help="training text")
    made.add_argument("--hellaswag", type=Path, help="hellaswag_val.jsonl")
    made.add_argument("--wikitext", type=Path, help="wiki.test.raw")
    made.add_argument("--held", type=Path, help="chats whose first rows are held for measuring")

    made = command("sample", run_sample, "lets the base, or a student, write training text")
    model_argument(made)
    made.add_argument("--student", type=Path, help="folder that distill wrote: its plans write, in turn")
    made.add_argument("--prefixes", type=Path, required=True, help="prefixes.json of prepare")
    made.add_argument("--kinds", nargs="+", default=["chats", "docs"], choices=["chats", "docs", "continued"])
    made.add_argument("--rows", type=int, default=1 << 30)
    made.add_argument("--batch", type=int, default=4096)
    made.add_argument("--seconds", type=float)

    made = command("distill", run_distill, "trains a student's layers, or with --rank an adapter")
    model_argument(made)
    made.add_argument("--id", required=True, help="name of the weight set")
    made.add_argument("--base", default="smollm2-135m-instruct")
    made.add_argument("--plan", action="append", required=True, metavar="ID=SLOTS", help="e.g. small=0-3,5,7m")
    made.add_argument("--title", action="append", default=[], metavar="ID=TITLE")
    made.add_argument("--data", action="append", required=True, metavar="GROUP=[held:]FILE,…")
    made.add_argument("--share", action="append", required=True, metavar="GROUP=N")
    made.add_argument("--train", metavar="SLOTS", help="sublayers to train; default: all of the first plan")
    made.add_argument("--start", type=Path, help="student folder to begin from; default: the base's values")
    made.add_argument("--rank", type=int, default=0, help="rank of an adapter; 0 trains the layers")
    made.add_argument("--rate", type=float, default=2e-3)
    made.add_argument("--rows", type=int, default=64, help="rows a step")
    made.add_argument("--warmup", type=int, default=100)
    made.add_argument("--optimizer", choices=["adamw", "muon"], default="adamw")
    until = made.add_mutually_exclusive_group(required=True)
    until.add_argument("--steps", type=int)
    until.add_argument("--seconds", type=float)
    made.add_argument("--resume", action="store_true", help="go on from OUT/state.pt")
    made.add_argument("--eval", type=Path, help="folder of prepare: score the student at the end")
    eval_arguments(made)

    made = command("eval", run_eval, "scores the base, plans over it, or a student")
    model_argument(made)
    made.add_argument("--plan", action="append", default=[], metavar="ID=SLOTS")
    made.add_argument("--student", type=Path, help="folder that distill wrote")
    made.add_argument("--eval", type=Path, required=True, help="folder of prepare")
    eval_arguments(made)
    return top


def run_prepare(args: argparse.Namespace) -> None:
    from .prepare import prepare

    prepare(args)


def main() -> None:
    args = parser().parse_args()
    try:
        args.run(args)
    except (ValueError, FileNotFoundError) as error:
        raise SystemExit(f"franken_training: {error}") from error


if __name__ == "__main__":
    main()
