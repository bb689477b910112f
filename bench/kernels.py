#!/usr/bin/env python3
"""Attention, and products in bf16, under Motley and PyTorch in turn, and a table of medians over the rounds with the
ratios of each round's times. On an otherwise idle machine.

    bench/kernels.py [--build build/release] [--rounds 5] [--workloads w1 w2 w3] [--skip-products]

PyTorch is that of --python, by default Debian's (apt install python3-torch libopenblas0), eager, with a thread for
every core and OMP_WAIT_POLICY=PASSIVE. Without it Motley's times are shown alone.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
                          env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"})
    if done.returncode != 0:
        sys.exit(f"bench/kernels.py: {' '.join(map(str, command))} failed:\n{done.stderr}")
    return json.loads(done.stdout)


def has_torch(python):
    try:
        return subprocess.run([python, "-c", "import torch"], stderr=subprocess.DEVNULL, check=False).returncode == 0
    except OSError:
        return False


class Times:
    """Seconds of each round, by what was measured."""

    def __init__(self):
        self.ours, self.theirs = {}, {}

    def show(self, title):
        print(f"\n{title}\n{'':<34} {'motley ms':>10} {'torch ms':>10} {'ratio':>7}")
        for name, ours in self.ours.items():
            line = f"{name:<34} {statistics.median(ours) * 1e3:10.2f}"
            theirs = self.theirs.get(name)
            if theirs:
                ratios = sorted(t / o for o, t in zip(ours, theirs))
                line += (f" {statistics.median(theirs) * 1e3:10.2f} {statistics.median(ratios):7.2f}"
                         f" {ratios[0]:6.2f} - {ratios[-1]:.2f}")
            print(line)


def attention(args, torch, dtype):
    flags = ["--bf16"] if dtype == "bf16" else []
    times = Times()
    for _ in range(args.rounds):
        for row in run([args.build / "bench/bench_ops", "--op", "attention", "--dtype", dtype,
                        "--repeats", "7"])["results"]:
            for way in ("forward", "backward"):
                times.ours.setdefault(f"{row['sizes']} {way}", []).append(row[way]["median_s"])
        if torch:
            for row in run([args.python, ROOT / "bench/torch_kernels.py", "attention"] + flags)["results"]:
                for way in ("forward", "backward"):
                    times.theirs.setdefault(f"{row['sizes']} {way}", []).append(row[way])
    times.show(f"attention, {dtype}: [batch, time, heads, key/value heads, head size]")


def products(args, torch, workload):
    times = Times()
    for _ in range(args.rounds):
        names = {}
        for row in run([args.build / "bench/bench_gemm", "--workload", workload, "--dtype", "bf16",
                        "--rounds", "3"])["products"]:
            names[f"{row['form']}:{row['M']}x{row['N']}x{row['K']}"] = row["product"]
            times.ours.setdefault(row["product"], []).append(row["seconds"])
        if torch:
            for row in run([args.python, ROOT / "bench/torch_kernels.py", "products", "--bf16", "--repeats", "3",
                            "--shapes", *names])["results"]:
                times.theirs.setdefault(names[row["shape"]], []).append(row["seconds"])
    times.show(f"products of {workload} in bf16, packing included")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--python", default="/usr/bin/python3")
    parser.add_argument("--workloads", nargs="*", default=["w1", "w2", "w3"])
    parser.add_argument("--skip-products", action="store_true")
    args = parser.parse_args()
    torch = has_torch(args.python)
    if not torch:
        print("bench/kernels.py: no PyTorch to compare with: apt install python3-torch libopenblas0", file=sys.stderr)
    for dtype in ("f32", "bf16"):
        attention(args, torch, dtype)
    if not args.skip_products:
        for workload in args.workloads:
            products(args, torch, workload)


if __name__ == "__main__":
    main()
