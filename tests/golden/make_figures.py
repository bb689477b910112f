#!/usr/bin/env python3
"""Makes the figures that tests/model/golden_test.cpp compares with: loss, every gradient, and ten AdamW steps
of two tiny models, computed by PyTorch in double precision.

Run with Debian's python3-torch (apt install python3-torch):  /usr/bin/python3 make_figures.py
Writes gpt2.safetensors and llama.safetensors beside itself. Weights and tokens are not stored: both sides
compute them from the same integer hash.
"""
import json
import pathlib
import struct

import torch
import torch.nn.functional as F

STEPS = 10
LEARNING_RATE, BETA1, BETA2, EPSILON, DECAY, CLIP = 1e-2, 0.9, 0.95, 1e-8, 0.1, 1.0

# The models of golden_test.cpp, by the same names.
GPT2 = dict(family="gpt2", vocab=61, context=20, layers=2, width=24, heads=3, kv_heads=3, head_dim=8, mlp=96)
LLAMA = dict(family="llama", vocab=67, context=20, layers=2, width=24, heads=4, kv_heads=2, head_dim=8, mlp=40)
B, T, EPS, THETA = 3, 17, 1e-5, 10000.0


def hash32(x):
    """The integer hash "lowbias32", on int64 tensors that hold 32-bit values."""
    mask = 0xFFFFFFFF
    x = x ^ (x >> 16)
    x = (x * 0x7FEB352D) & mask
    x = x ^ (x >> 15)
    x = (x * 0x846CA68B) & mask
    return x ^ (x >> 16)


def hashed(stream, count):
    i = torch.arange(count, dtype=torch.int64)
    return hash32((i + stream * 0x9E3779B1) & 0xFFFFFFFF)


def uniform(stream, shape):
    """In [-0.5, 0.5), exact in float32."""
    count = 1
    for extent in shape:
        count *= extent
    return ((hashed(stream, count) >> 8).double() / 2.0**24 - 0.5).reshape(shape)


def specs(m):
    """(name, shape, kind) in the order of parameter_specs() in src/model/params.cpp."""
    gpt2 = m["family"] == "gpt2"
    C, V, M = m["width"], m["vocab"], m["mlp"]
    HD, KD = m["heads"] * m["head_dim"], m["kv_heads"] * m["head_dim"]
    out = []

    def linear(name, rows, cols):
        out.append((name + ".weight", (rows, cols), "matrix"))
        if gpt2:
            out.append((name + ".bias", (rows,), "bias"))

    def norm(name):
        out.append((name + ".weight", (C,), "norm"))
        if gpt2:
            out.append((name + ".bias", (C,), "bias"))

    norm("final_norm")
    if not gpt2:
        out.append(("head.weight", (V, C), "matrix"))
    for layer in reversed(range(m["layers"])):
        p = f"layers.{layer}."
        linear(p + "mlp.down", C, M)
        linear(p + ("mlp.up" if gpt2 else "mlp.gate_up"), M if gpt2 else 2 * M, C)
        norm(p + "norm2")
        linear(p + "attn.out", C, HD)
        linear(p + "attn.qkv", HD + 2 * KD, C)
        norm(p + "norm1")
    if gpt2:
        out.append(("position.weight", (m["context"], C), "matrix"))
    out.append(("embed.weight", (V, C), "matrix"))
    return out


def weights(m):
    """Matrices uniform in +-0.25, biases in +-0.05, norm weights in 1 +- 0.05."""
    w = {}
    for stream, (name, shape, kind) in enumerate(specs(m)):
        u = uniform(stream, shape)
        u = {"matrix": 0.5 * u, "bias": 0.1 * u, "norm": 1.0 + 0.1 * u}[kind]
        w[name] = u.float().double().requires_grad_(True)
    return w


def batch(m, step):
    """Tokens of a step; targets are the tokens one further on."""
    ids = (hashed(1000 + step, B * (T + 1)) % m["vocab"]).reshape(B, T + 1)
    return ids[:, :-1], ids[:, 1:]


def rotate(x):
    """Rotary positions, rotate-half pairing. x: [B, heads, T, D]."""
    D = x.shape[-1]
    angle = torch.arange(T).double()[:, None] * THETA ** (-torch.arange(0, D, 2).double() / D)[None, :]
    cos, sin = torch.cat([angle.cos()] * 2, -1), torch.cat([angle.sin()] * 2, -1)
    half = torch.cat([-x[..., D // 2:], x[..., : D // 2]], -1)
    return x * cos + half * sin


def forward(m, w, tokens):
    gpt2 = m["family"] == "gpt2"
    H, G, D = m["heads"], m["kv_heads"], m["head_dim"]

    def norm(x, name):
        if gpt2:
            return F.layer_norm(x, (m["width"],), w[name + ".weight"], w[name + ".bias"], EPS)
        return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + EPS) * w[name + ".weight"]

    def linear(x, name):
        return F.linear(x, w[name + ".weight"], w.get(name + ".bias"))

    x = F.embedding(tokens, w["embed.weight"])
    if gpt2:
        x = x + w["position.weight"][:T]
    mask = torch.full((T, T), float("-inf")).double().triu(1)
    for layer in range(m["layers"]):
        p = f"layers.{layer}."
        qkv = linear(norm(x, p + "norm1"), p + "attn.qkv").reshape(B, T, H + 2 * G, D).transpose(1, 2)
        q, k, v = qkv[:, :H], qkv[:, H:H + G], qkv[:, H + G:]
        if not gpt2:
            q, k = rotate(q), rotate(k)
        k, v = k.repeat_interleave(H // G, 1), v.repeat_interleave(H // G, 1)
        p_att = torch.softmax(q @ k.transpose(-1, -2) / D**0.5 + mask, -1)
        x = x + linear((p_att @ v).transpose(1, 2).reshape(B, T, H * D), p + "attn.out")
        n = norm(x, p + "norm2")
        if gpt2:
            h = F.gelu(linear(n, p + "mlp.up"), approximate="tanh")
        else:
            gate, up = linear(n, p + "mlp.gate_up").chunk(2, -1)
            h = F.silu(gate) * up
        x = x + linear(h, p + "mlp.down")
    return F.linear(norm(x, "final_norm"), w["embed.weight" if gpt2 else "head.weight"])


def loss_of(m, w, step):
    tokens, targets = batch(m, step)
    return F.cross_entropy(forward(m, w, tokens).reshape(-1, m["vocab"]), targets.reshape(-1))


def figures(m):
    w = weights(m)
    out = {}
    optimizer = torch.optim.AdamW(
        [{"params": [v for v in w.values() if v.dim() == 2], "weight_decay": DECAY},
         {"params": [v for v in w.values() if v.dim() == 1], "weight_decay": 0.0}],
        lr=LEARNING_RATE, betas=(BETA1, BETA2), eps=EPSILON)
    losses, norms = [], []
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = loss_of(m, w, step)
        loss.backward()
        if step == 0:
            out.update({"gradient." + name: v.grad.clone() for name, v in w.items()})
        losses.append(loss.item())
        norms.append(torch.nn.utils.clip_grad_norm_(list(w.values()), CLIP).item())
        optimizer.step()
    losses.append(loss_of(m, w, STEPS).item())
    out["losses"] = torch.tensor(losses)
    out["norms"] = torch.tensor(norms)
    return out


def save(path, tensors):
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name in sorted(tensors):
        raw = tensors[name].detach().float().contiguous().numpy().tobytes()
        header[name] = {"dtype": "F32", "shape": list(tensors[name].shape),
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


if __name__ == "__main__":
    torch.set_default_dtype(torch.float64)
    here = pathlib.Path(__file__).parent
    for model in (GPT2, LLAMA):
        save(here / (model["family"] + ".safetensors"), figures(model))
