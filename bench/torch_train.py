#!/usr/bin/env python3
"""The reference workload of bench_train under PyTorch, for the same figure on the same machine.

    apt install python3-torch libopenblas0    # without OpenBLAS its products are fifty times slower
    OMP_WAIT_POLICY=PASSIVE /usr/bin/python3 bench/torch_train.py [--steps 20] [--threads N] [--bf16]

GPT-2 style, 6 layers, width 384, 6 heads, T = 256, vocabulary 8192, batch 8, AdamW with clipping, random tokens.
Attention is PyTorch's fused one where the release has it.
"""
import argparse
import json
import os
import resource
import statistics
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

L, C, H, T, V, B = 6, 384, 6, 256, 8192, 8
WARM_UP = 3


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(C), nn.LayerNorm(C)
        self.qkv, self.out = nn.Linear(C, 3 * C), nn.Linear(C, C)
        self.up, self.down = nn.Linear(C, 4 * C), nn.Linear(4 * C, C)
        self.register_buffer("mask", torch.ones(T, T).tril().bool(), persistent=False)

    def attend(self, x):
        q, k, v = (t.reshape(B, T, H, C // H).transpose(1, 2) for t in self.qkv(x).split(C, -1))
        if hasattr(F, "scaled_dot_product_attention"):
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            scores = (q @ k.transpose(-1, -2)) * (C // H) ** -0.5
            y = scores.masked_fill(~self.mask, float("-inf")).softmax(-1) @ v
        return self.out(y.transpose(1, 2).reshape(B, T, C))

    def forward(self, x):
        x = x + self.attend(self.norm1(x))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.position = nn.Embedding(V, C), nn.Embedding(T, C)
        self.blocks = nn.ModuleList(Block() for _ in range(L))
        self.norm = nn.LayerNorm(C)
        for p in self.parameters():
            if p.dim() == 2:
                nn.init.normal_(p, 0.0, 0.02)

    def forward(self, tokens, targets):
        x = self.embed(tokens) + self.position.weight
        for block in self.blocks:
            x = block(x)
        logits = F.linear(self.norm(x), self.embed.weight)
        return F.cross_entropy(logits.float().reshape(-1, V), targets.reshape(-1))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--bf16", action="store_true")
    args = parser.parse_args()
    torch.manual_seed(1)
    torch.set_num_threads(args.threads)
    model = Model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-4, betas=(0.9, 0.95), weight_decay=0.1)
    seconds = []
    for step in range(WARM_UP + args.steps):
        tokens, targets = torch.randint(V, (B, T)), torch.randint(V, (B, T))
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=args.bf16):
            loss = model(tokens, targets)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step >= WARM_UP:
            seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds)
    print(json.dumps({
        "workload": "gpt2 L6 C384 H6 T256 V8192 B8 " + ("bf16" if args.bf16 else "fp32") + " adamw",
        "torch": torch.__version__, "threads": args.threads, "steps": args.steps,
        "tokens_per_s": {"median": B * T / median, "best": B * T / min(seconds), "worst": B * T / max(seconds)},
        "step_seconds": median, "loss": loss.item(),
        "process_peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }, indent=2))


if __name__ == "__main__":
    main()
