#!/usr/bin/env python3
"""PyTorch's times, as JSON, for what bench_ops and bench_gemm measure:

    OMP_WAIT_POLICY=PASSIVE /usr/bin/python3 bench/torch_kernels.py attention [--bf16] [--repeats N] [--threads N]
    OMP_WAIT_POLICY=PASSIVE /usr/bin/python3 bench/torch_kernels.py products --shapes NT:2048x1152x384 ... [--bf16] ...

bench/kernels.py runs both sides in turn. Attention is causal and eager, as bench/torch_train.py has it, from q, k and v
that lie apart already: their split from the packed rows, which Motley's time has in it, does not count.
"""
import argparse
import json
import os
import statistics
import time

import torch

WARM_UP = 2
ATTENTION = [(8, 256, 6, 6, 64), (1, 1024, 12, 12, 64), (2, 1024, 8, 2, 64)]  # as in tests/ops/attention_case.cpp


def median_seconds(repeats, prepare, run):
    seconds = []
    for i in range(WARM_UP + repeats):
        what = prepare()
        start = time.perf_counter()
        run(what)
        if i >= WARM_UP:
            seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def attention(args, dtype):
    rows = []
    for B, T, H, G, D in ATTENTION:
        q = torch.randn(B, H, T, D, dtype=dtype, requires_grad=True)
        k = torch.randn(B, G, T, D, dtype=dtype, requires_grad=True)
        v = torch.randn(B, G, T, D, dtype=dtype, requires_grad=True)
        dy = torch.randn(B, H, T, D, dtype=dtype)
        mask = torch.ones(T, T).tril().bool()

        def forward(_=None):
            keys, values = k, v
            if G != H:
                keys, values = k.repeat_interleave(H // G, 1), v.repeat_interleave(H // G, 1)
            scores = (q @ keys.transpose(-1, -2)) * D**-0.5
            return scores.masked_fill(~mask, float("-inf")).softmax(-1) @ values

        rows.append({"sizes": [B, T, H, G, D],
                     "forward": median_seconds(args.repeats, lambda: None, forward),
                     "backward": median_seconds(args.repeats, forward, lambda y: y.backward(dy))})
    return rows


def products(args, dtype):
    rows = []
    for text in args.shapes:
        form, sizes = text.split(":")
        m, n, k = map(int, sizes.split("x"))
        a = torch.randn(k, m, dtype=dtype).t() if form == "TN" else torch.randn(m, k, dtype=dtype)
        b = torch.randn(n, k, dtype=dtype).t() if form == "NT" else torch.randn(k, n, dtype=dtype)
        times = max(1, int(4e9 / (2 * m * n * k)))

        def several(_, a=a, b=b, times=times):
            for _ in range(times):
                a @ b

        rows.append({"shape": text, "seconds": median_seconds(args.repeats, lambda: None, several) / times})
    return rows


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["attention", "products"])
    parser.add_argument("--shapes", nargs="*", default=[], help="FORM:MxNxK, as bench_gemm says them")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows = (attention if args.what == "attention" else products)(args, torch.bfloat16 if args.bf16 else torch.float32)
    print(json.dumps({"torch": torch.__version__, "threads": args.threads, "results": rows}, indent=2))


if __name__ == "__main__":
    main()
