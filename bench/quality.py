#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goodput and fairness beside Linux's own sender.

Each run is one call of `synfin-quality`, which makes network namespaces of its own: a sender, one bad network
(`--impair`), and the kernel as receiver. Runs that load the processor little go side by side.

    bench/quality.py                       the grid and fairness; tables on standard output
    bench/quality.py --update              the same, into bench/quality.md
    bench/quality.py --quick               one seed and a coarse grid
    bench/quality.py --cell rtt=100,loss=1 what matches, of the grid
"""

import argparse
import itertools
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PAGE = os.path.join(HERE, "quality.md")
PROGRAM = os.environ.get("SYNFIN_QUALITY", os.path.join(HERE, "../build/release/synfin-quality"))

PACKET = 1500 * 8
GRID_RATE = 20_000_000
LOSSES = [0, 0.01, 0.1, 1, 2, 5, 10]
ROUND_TRIPS = [1, 20, 100, 300]
REORDERINGS = [0, 1, 10]
SECONDS = {1: 3, 20: 4, 100: 8, 300: 15}  # how long a run lasts, by round trip
FAIR_RATE, FAIR_ROUND_TRIP, FAIR_SKIP, FAIR_SECONDS = 30_000_000, 60, 4, 16
FLOWS = [2, 8, 32, 64]
CONTROLLERS = ["reno", "cubic", "bbr"]
SEEDS = [1, 2, 3]
STACKS = ["synfin", "kernel"]
MIXES = ["synfin", "kernel", "mixed"]
FAIR_WORDS = f"""Flows that begin together share {FAIR_RATE // 1_000_000} Mbit/s at {FAIR_ROUND_TRIP} ms with a tail-drop queue of one
bandwidth-delay product, for {FAIR_SECONDS} s behind the first {FAIR_SKIP} s. Mixed: half of them are Synfin's and half Linux's, through one queue.
Jain's index is 1 where all get the same; a share of 0.5 is even. Medians of the runs.

"""


def queue(rate, round_trip):
    """One bandwidth-delay product in packets, ten at least."""
    return max(10, math.ceil(rate * round_trip / 1000 / PACKET))


def guessed_share(cell):
    """Of the link's rate, roughly: how much work a run will be."""
    if cell["loss"] == 0:
        return 1
    segments = 1.3 / math.sqrt(cell["loss"] / 100)
    return min(1, segments * PACKET / (cell["rtt"] / 1000) / GRID_RATE + 0.05)


class Run:
    """One call of the program; `cost` is in full links of GRID_RATE."""

    def __init__(self, what, arguments, seconds, cost):
        self.what, self.arguments, self.seconds, self.cost = what, arguments, seconds, cost
        self.result = None

    def execute(self):
        for attempt in range(2):
            done = subprocess.run([PROGRAM, *self.arguments], capture_output=True, text=True,
                                  timeout=self.seconds + 60, check=False)
            if done.returncode == 0:
                self.result = json.loads(done.stdout)
                return
        raise RuntimeError(done.stderr.strip() or f"{PROGRAM} ended with status {done.returncode}")


def grid_run(cell, stack, seed, settings, scale):
    seconds = SECONDS[cell["rtt"]] * scale
    impair = [f"delay={cell['rtt'] * 500}us", f"seed={seed}", f"out:rate={GRID_RATE}bit",
              f"out:queue={queue(GRID_RATE, cell['rtt'])}", f"out:loss={cell['loss']}%", f"out:reorder={cell['reorder']}%"]
    arguments = [f"--{stack}", "1", f"--{stack}-controller", cell["controller"], "--seconds", str(seconds),
                 "--impair", ",".join(impair), *settings]
    return Run(dict(kind="grid", **cell, stack=stack, seed=seed), arguments, seconds, guessed_share(cell))


def fair_run(controller, mix, flows, seed, settings, scale):
    ours = {"synfin": flows, "kernel": 0, "mixed": flows // 2}[mix]
    seconds = (FAIR_SKIP + FAIR_SECONDS) * scale
    impair = [f"delay={FAIR_ROUND_TRIP * 500}us", f"seed={seed}", f"out:rate={FAIR_RATE}bit",
              f"out:queue={queue(FAIR_RATE, FAIR_ROUND_TRIP)}"]
    arguments = ["--synfin", str(ours), "--kernel", str(flows - ours), "--synfin-controller", controller,
                 "--kernel-controller", controller, "--seconds", str(seconds), "--skip", str(FAIR_SKIP * scale),
                 "--impair", ",".join(impair), *settings]
    return Run(dict(kind="fairness", controller=controller, mix=mix, flows=flows, seed=seed), arguments, seconds,
               FAIR_RATE / GRID_RATE)


class Progress:
    """A line on a terminal; nothing elsewhere."""

    def __init__(self, runs):
        self.total, self.done, self.begin = len(runs), 0, time.monotonic()
        self.shown = sys.stderr.isatty()

    def step(self):
        self.done += 1
        if self.shown:
            print(f"\r{self.done} of {self.total} runs, {time.monotonic() - self.begin:.0f} s ", end="", file=sys.stderr)

    def end(self):
        if self.shown:
            print(f"\r{self.total} runs in {time.monotonic() - self.begin:.0f} s   ", file=sys.stderr)


def execute_all(runs, most, load):
    """At most `most` at once, whose costs add up to at most `load`."""
    progress, failures = Progress(runs), []
    waiting = sorted(runs, key=lambda r: -r.seconds * (0.3 + r.cost))
    running, used, changed = 0, 0.0, threading.Condition()

    def work(run):
        nonlocal running, used
        try:
            run.execute()
        except Exception as e:  # noqa: BLE001  said below, whatever it is
            failures.append(str(e))
        with changed:
            running, used = running - 1, used - run.cost
            progress.step()
            changed.notify()

    with changed:
        while waiting and not failures:
            fitting = next((r for r in waiting if running == 0 or used + r.cost <= load), None)
            if running >= most or fitting is None:
                changed.wait()
                continue
            waiting.remove(fitting)
            running, used = running + 1, used + fitting.cost
            threading.Thread(target=work, args=(fitting,)).start()
        while running:
            changed.wait()
    progress.end()
    if failures:
        sys.exit(f"quality.py: {failures[0]}")


def account(run):
    """What is kept of a run."""
    result = run.result
    kept = dict(run.what, seconds=result["seconds"], link=result["link"],
                octets=[f["octets"] for f in result["flows"]],
                stacks=[f["stack"] for f in result["flows"]],
                retransmitted=[f.get("retransmitted", 0) for f in result["flows"]])
    kept["counters"] = {f["stack"]: f["counters"] for f in result["flows"] if "counters" in f}
    return kept


def jain(values):
    return sum(values) ** 2 / (len(values) * sum(v * v for v in values)) if any(values) else 0


def percent(run, rate):
    return sum(run["octets"]) * 8 / run["seconds"] / rate * 100


def number(x):
    return f"{x:.2f}"


def grid_tables(results):
    runs = [r for r in results if r["kind"] == "grid"]
    for controller in [c for c in CONTROLLERS if any(r["controller"] == c for r in runs)]:
        mine = [r for r in runs if r["controller"] == controller]
        losses = [x for x in LOSSES if any(r["loss"] == x for r in mine)]
        ratios, shares, below = [], [], 0
        for rtt, reorder in itertools.product(ROUND_TRIPS, REORDERINGS):
            ratio_row, share_row = [], []
            for loss in losses:
                at = {s: {r["seed"]: percent(r, GRID_RATE) for r in mine if r["stack"] == s and r["loss"] == loss and
                          r["rtt"] == rtt and r["reorder"] == reorder} for s in STACKS}
                if not all(at.values()):
                    ratio_row.append("")
                    share_row.append("")
                    continue
                middle = {s: statistics.median(at[s].values()) for s in STACKS}
                each = [at["synfin"][k] / at["kernel"][k] for k in at["synfin"] if at["kernel"].get(k)]
                ratio = middle["synfin"] / middle["kernel"] if middle["kernel"] else math.inf
                below += ratio < 0.97
                ratio_row.append(f"**{number(ratio)}** ({number(min(each))}–{number(max(each))})" if each else "")
                share_row.append(f"{middle['synfin']:.1f} / {middle['kernel']:.1f}")
            if any(ratio_row):
                head = f"| {rtt} ms | {reorder} % | "
                ratios.append(head + " | ".join(ratio_row) + " |")
                shares.append(head + " | ".join(share_row) + " |")
        top = "| RTT | reordered | " + " | ".join(f"{x:g} %" for x in losses) + " |\n|---|---|" + "---:|" * len(losses)
        yield f"### {controller} against Linux's {controller}\n"
        cells = sum(1 for row in ratios for c in row.split("|") if "**" in c)
        yield f"Ratio Synfin to Linux; {below} of {cells} cells below 0.97.\n"
        yield top + "\n" + "\n".join(ratios) + "\n"
        yield "Goodput in percent of the link, Synfin / Linux.\n"
        yield top + "\n" + "\n".join(shares) + "\n"


def fair_table(results):
    runs = [r for r in results if r["kind"] == "fairness"]
    rows = ["| controller | flows | Jain, Synfin alone | Jain, Linux alone | Jain, mixed: all | Synfin's half | "
            "Linux's half | Synfin's share |", "|---|---:|---:|---:|---:|---:|---:|---:|"]
    for controller, flows in itertools.product(CONTROLLERS, FLOWS):
        here = [r for r in runs if r["controller"] == controller and r["flows"] == flows]
        if not here:
            continue

        def middle(mix, value):
            found = [value(r) for r in here if r["mix"] == mix]
            return f"{statistics.median(found):.3f}" if found else ""

        def half(stack):
            return lambda r: jain([o for o, s in zip(r["octets"], r["stacks"]) if s == stack])

        def share(r):
            return sum(o for o, s in zip(r["octets"], r["stacks"]) if s == "synfin") / max(1, sum(r["octets"]))

        shares = [share(r) for r in here if r["mix"] == "mixed"]
        last = f"{statistics.median(shares):.2f} ({min(shares):.2f}–{max(shares):.2f})" if shares else ""
        all_flows = [middle(m, lambda r: jain(r["octets"])) for m in MIXES]
        rows.append(f"| {controller} | {flows} | {all_flows[0]} | {all_flows[1]} | {all_flows[2]} | "
                    f"{middle('mixed', half('synfin'))} | {middle('mixed', half('kernel'))} | {last} |")
    return "\n".join(rows) + "\n" if len(rows) > 2 else ""


def page(results, conditions):
    with open(os.path.join(HERE, "quality_head.md"), encoding="utf-8") as file:
        head = file.read()
    seeds = len({r["seed"] for r in results if r["kind"] == "grid"})
    lasts = ", ".join(f"{SECONDS[rtt]} s" for rtt in ROUND_TRIPS)
    for name, value in (("conditions", conditions), ("grid_rate", GRID_RATE // 1_000_000), ("seconds", lasts),
                        ("runs", seeds)):
        head = head.replace("{" + name + "}", str(value))
    text = head + "\n## Goodput\n\n" + "\n".join(grid_tables(results))
    fair = fair_table(results)
    if fair:
        text += "\n## Fairness at one bottleneck\n\n" + FAIR_WORDS + fair
    return text


def chosen(cell, choice):
    wanted = dict(item.split("=", 1) for item in choice.split(",")) if choice else {}
    unknown = set(wanted) - set(cell)
    if unknown:
        sys.exit(f"quality.py: --cell: {unknown.pop()} is none of {', '.join(cell)}")
    return all(str(cell[k]) == v for k, v in wanted.items())


def plan(options):
    seeds = SEEDS[:1] if options.quick else list(range(1, options.runs + 1))
    settings = [x for s in options.set for x in ("--set", s)]
    scale = 0.5 if options.quick else 1
    runs = []
    if options.part in ("all", "grid"):
        losses, reorders = ([0, 1, 5], [0, 10]) if options.quick and not options.cell else (LOSSES, REORDERINGS)
        for controller, rtt, reorder, loss in itertools.product(options.controllers, ROUND_TRIPS, reorders, losses):
            cell = dict(controller=controller, rtt=rtt, loss=loss, reorder=reorder)
            if chosen(cell, options.cell):
                runs += [grid_run(cell, stack, seed, settings, scale) for seed in seeds for stack in STACKS]
    if options.part in ("all", "fairness") and not options.cell:
        for controller, flows, mix, seed in itertools.product(options.controllers, FLOWS, MIXES, seeds):
            runs.append(fair_run(controller, mix, flows, seed, settings, scale))
    return runs


def idle_share():
    """Seconds, of all processors, since boot: (idle, all)."""
    with open("/proc/stat", encoding="ascii") as file:
        values = [int(x) for x in file.readline().split()[1:9]]
    return values[3], sum(values)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", choices=["all", "grid", "fairness"], default="all")
    parser.add_argument("--controllers", type=lambda t: t.split(","), default=CONTROLLERS, metavar="NAME,…",
                        help="of " + ", ".join(CONTROLLERS) + "; both senders use the same")
    parser.add_argument("--cell", default="", metavar="KEY=VALUE,…", help="of controller, rtt, loss, reorder")
    parser.add_argument("--quick", action="store_true", help="one seed, half the time, a coarse grid")
    parser.add_argument("--runs", type=int, default=len(SEEDS), help="seeds, the same for both senders")
    parser.add_argument("--jobs", type=int, default=24, help="most runs side by side")
    parser.add_argument("--load", type=float, default=2.5 * os.cpu_count(),
                        help="most of them together, in links of 20 Mbit/s that are full")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of Synfin")
    parser.add_argument("--json", metavar="FILE", help="what each run gave")
    parser.add_argument("--from", dest="earlier", action="append", default=[], metavar="FILE",
                        help="measure nothing: results that --json wrote")
    parser.add_argument("--update", action="store_true", help="write bench/quality.md")
    options = parser.parse_args()
    if options.earlier:
        results, conditions = [], []
        for name in options.earlier:
            with open(name, encoding="utf-8") as file:
                stored = json.load(file)
            results += stored["runs"]
            what = sorted({f"{r['kind']} {r['controller']}" for r in stored["runs"]}, key=str)
            conditions.append(f"- {', '.join(what)}: {stored['conditions']}.")
        conditions = "\n".join(conditions)
    else:
        runs = plan(options)
        if not runs:
            sys.exit("quality.py: no cell matches")
        idle, begin = idle_share(), time.monotonic()
        execute_all(runs, options.jobs, options.load)
        after = idle_share()
        results = [account(r) for r in runs]
        rest = (after[0] - idle[0]) / max(1, after[1] - idle[1])
        conditions = (f"Linux {platform.release()}, {os.cpu_count()} processors that were idle for {rest:.0%} of the "
                      f"{time.monotonic() - begin:.0f} s that it took; at most {options.jobs} runs side by side")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"conditions": conditions, "runs": results}, file, indent=0)
    text = page(results, conditions if options.earlier else f"{conditions}.")
    if options.update:
        with open(PAGE, "w", encoding="utf-8") as file:
            file.write(text)
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
