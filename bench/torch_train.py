#!/usr/bin/env python3
"""The workloads of bench_train under PyTorch, from the same weights and tokens (bench/workload.cpp), for the same
figures on the same machine.

    apt install python3-torch libopenblas0    # without OpenBLAS its products are fifty times slower
    OMP_WAIT_POLICY=PASSIVE /usr/bin/python3 bench/torch_train.py [--workload w1] [--steps 20] [--threads N] [--bf16]
                                                                  [--compile] [--device cuda]

Attention is PyTorch's fused one where the release has it.
"""
import argparse
import json
import os
import pathlib
import resource
import statistics
import sys
import time

import torch
import torch.nn.functional as F

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden"))
from make_figures import hashed  # noqa: E402

WARM_UP = 3
EPSILON, THETA = 1e-5, 10000.0
UNIFORM_WIDTH = 0.0692820325  # as in bench/workload.cpp
WORKLOADS = {
    "w1": dict(family="gpt2", vocab=8192, context=256, layers=6, width=384, heads=6, kv_heads=6, mlp=1536, T=256, B=8),
    "w2": dict(family="gpt2", vocab=50257, context=1024, layers=12, width=768, heads=12, kv_heads=12, mlp=3072,
               T=64, B=4),
    "w3": dict(family="llama", vocab=16384, context=1024, layers=8, width=512, heads=8, kv_heads=2, mlp=1408,
               T=1024, B=2),
    "w4": dict(family="gpt2", vocab=50257, context=1024, layers=12, width=768, heads=12, kv_heads=12, mlp=3072,
               T=1024, B=8),
}


def specs(m):
    """(name, shape) in the order of parameter_specs() in src/model/params.cpp."""
    gpt2 = m["family"] == "gpt2"
    C, D = m["width"], m["width"] // m["heads"]
    out = []

    def linear(name, rows, cols):
        out.append((name + ".weight", (rows, cols)))
        if gpt2:
            out.append((name + ".bias", (rows,)))

    def norm(name):
        out.append((name + ".weight", (C,)))
        if gpt2:
            out.append((name + ".bias", (C,)))

    norm("final_norm")
    for layer in reversed(range(m["layers"])):
        p = f"layers.{layer}."
        linear(p + "mlp.down", C, m["mlp"])
        linear(p + ("mlp.up" if gpt2 else "mlp.gate_up"), m["mlp"] * (1 if gpt2 else 2), C)
        norm(p + "norm2")
        linear(p + "attn.out", C, C)
        linear(p + "attn.qkv", C + 2 * m["kv_heads"] * D, C)
        norm(p + "norm1")
    if gpt2:
        out.append(("position.weight", (m["context"], C)))
    out.append(("embed.weight", (m["vocab"], C)))
    return out


def weights(m, device):
    w = {}
    for stream, (name, shape) in enumerate(specs(m)):
        if len(shape) == 2:
            fraction = (hashed(stream, shape[0] * shape[1]) >> 8).float() / 16777216.0 - 0.5
            value = (UNIFORM_WIDTH * fraction).reshape(shape)
        else:
            value = torch.zeros(shape) if name.endswith(".bias") else torch.ones(shape)
        w[name] = value.to(device).requires_grad_(True)
    return w


def batch(m, step):
    ids = (hashed(1000 + step, m["B"] * (m["T"] + 1)) % m["vocab"]).reshape(m["B"], m["T"] + 1)
    return ids[:, :-1].contiguous(), ids[:, 1:].contiguous()


class Model:
    def __init__(self, m, w):
        self.m, self.w = m, w
        D, T = m["width"] // m["heads"], m["T"]
        device = w["embed.weight"].device
        angle = torch.arange(T)[:, None] * THETA ** (-torch.arange(0, D, 2) / D)[None, :]
        self.cos, self.sin = (torch.cat([f(angle)] * 2, -1).to(device) for f in (torch.cos, torch.sin))
        self.mask = torch.ones(T, T, device=device).tril().bool()

    def norm(self, x, name):
        if self.m["family"] == "gpt2":
            return F.layer_norm(x, x.shape[-1:], self.w[name + ".weight"], self.w[name + ".bias"], EPSILON)
        return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + EPSILON) * self.w[name + ".weight"]

    def linear(self, x, name):
        return F.linear(x, self.w[name + ".weight"], self.w.get(name + ".bias"))

    def rotate(self, x):
        D = x.shape[-1]
        return x * self.cos + torch.cat([-x[..., D // 2:], x[..., : D // 2]], -1) * self.sin

    def attend(self, x, p):
        m = self.m
        H, G, D = m["heads"], m["kv_heads"], m["width"] // m["heads"]
        qkv = self.linear(x, p + "attn.qkv").reshape(m["B"], m["T"], H + 2 * G, D).transpose(1, 2)
        q, k, v = qkv.split([H, G, G], 1)
        if m["family"] == "llama":
            q, k = self.rotate(q), self.rotate(k)
        if G != H:
            k, v = k.repeat_interleave(H // G, 1), v.repeat_interleave(H // G, 1)
        if hasattr(F, "scaled_dot_product_attention"):
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            scores = (q @ k.transpose(-1, -2)) * D**-0.5
            y = scores.masked_fill(~self.mask, float("-inf")).softmax(-1) @ v
        return self.linear(y.transpose(1, 2).reshape(m["B"], m["T"], H * D), p + "attn.out")

    def mlp(self, x, p):
        if self.m["family"] == "gpt2":
            return self.linear(F.gelu(self.linear(x, p + "mlp.up"), approximate="tanh"), p + "mlp.down")
        gate, up = self.linear(x, p + "mlp.gate_up").chunk(2, -1)
        return self.linear(F.silu(gate) * up, p + "mlp.down")

    def loss(self, tokens, targets):
        x = F.embedding(tokens, self.w["embed.weight"])
        if self.m["family"] == "gpt2":
            x = x + self.w["position.weight"][: self.m["T"]]
        for layer in range(self.m["layers"]):
            p = f"layers.{layer}."
            x = x + self.attend(self.norm(x, p + "norm1"), p)
            x = x + self.mlp(self.norm(x, p + "norm2"), p)
        logits = F.linear(self.norm(x, "final_norm"), self.w["embed.weight"])
        return F.cross_entropy(logits.float().reshape(-1, self.m["vocab"]), targets.reshape(-1))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--workload", choices=sorted(WORKLOADS), default="w1")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--compile", action="store_true", help="torch.compile, of releases from 2.0 on")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    m = WORKLOADS[args.workload]
    on_gpu = args.device == "cuda"
    w = weights(m, args.device)
    model = Model(m, w)
    loss_of = torch.compile(model.loss) if args.compile else model.loss
    optimizer = torch.optim.AdamW([
        {"params": [v for v in w.values() if v.dim() == 2], "weight_decay": 0.1},
        {"params": [v for v in w.values() if v.dim() == 1], "weight_decay": 0.0}], lr=6e-4, betas=(0.9, 0.95), eps=1e-8,
        **({"fused": True} if on_gpu else {}))
    seconds, losses = [], []
    for step in range(WARM_UP + args.steps):
        tokens, targets = (t.to(args.device) for t in batch(m, step))
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(args.device, dtype=torch.bfloat16, enabled=args.bf16):
            loss = loss_of(tokens, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(list(w.values()), 1.0)
        optimizer.step()
        if on_gpu:
            torch.cuda.synchronize()
        if step >= WARM_UP:
            seconds.append(time.perf_counter() - start)
        losses.append(loss.item())
    tokens_of_step = m["B"] * m["T"]
    median = statistics.median(seconds)
    print(json.dumps({
        "workload": args.workload, "dtype": "bf16" if args.bf16 else "f32", "compiled": args.compile,
        "torch": torch.__version__, "device": torch.cuda.get_device_name() if on_gpu else "cpu",
        "threads": args.threads, "steps": args.steps,
        "tokens_per_s": tokens_of_step / median, "tokens_per_s_best": tokens_of_step / min(seconds),
        "tokens_per_s_worst": tokens_of_step / max(seconds), "step_seconds": median,
        "first_loss": losses[0], "last_loss": losses[-1],
        "device_peak_bytes": torch.cuda.max_memory_allocated() if on_gpu else 0,
        "process_peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }, indent=2))


if __name__ == "__main__":
    main()
