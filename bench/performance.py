#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures everything that docs/performance.md tells, and writes it.

    bench/performance.py                       all of it, some 15 minutes, as root; the page on standard output
    bench/performance.py --json all.json --update
    bench/performance.py --from all.json --update     measures nothing
    bench/performance.py --only bulk,scale     some of it; sections without figures are left out
    bench/performance.py --scale 0.01          a try

The words are in bench/performance_frame.md, as are the lists of what helped and what did not: a section whose figures are
not there, or whose list is empty, is left out.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
FRAME = os.path.join(HERE, "performance_frame.md")
PAGE = os.path.join(HERE, "../docs/performance.md")
PROGRAM = os.environ.get("SYNFIN_BENCH", os.path.join(HERE, "../build/release/synfin-bench"))

# What is called one after the other: a name, the filter, and how many of the runs. Ten million connections take so long
# and differ so little that two runs must do.
PARTS = [("lifecycle", "^lifecycle ", None), ("request", "^request ", None), ("bulk", "^bulk ", None),
         ("synflood", "^synflood ", None), ("handshake", "^handshake ", None), ("memory", "^memory (?!.*10M)", None),
         ("memory-10M", "^memory .*10M", 2), ("tun", "^tun ", None), ("scale", "^scale ", None),
         ("parts", "^parts ", None), ("instructions", "^instructions ", 1)]
GIB = 1 << 30
SEGMENT = 1448  # octets of text in a segment at MTU 1,500


# Figures.

def number(x, digits=3):
    """4,210,331 from a thousand on, else as many digits as count."""
    if x is None:
        return ""
    if abs(x) >= 1000:
        return f"{x:,.0f}"
    if x == int(x):
        return f"{x:.0f}"
    text = f"{x:.{digits}g}"
    return text if "e" not in text else f"{x:.4f}"


def spread(r):
    """Median (smallest–largest); the number of runs where it is not the usual."""
    if r["min"] == r["max"]:
        return f"**{number(r['value'])}**"
    return f"**{number(r['value'])}** ({number(r['min'])}–{number(r['max'])})"


def times(x):
    return f"{x:.2f} ×" if x < 100 else f"{x:.0f} ×"


def table(head, rows):
    """A table of those columns that have anything in them; "" without rows."""
    if not rows:
        return ""
    used = [i for i in range(len(head)) if any(row[i] != "" for row in rows)]
    kinds = {i: "---:" if all(re.match(r"^$|^[*−-]*[\d(]", row[i]) for row in rows) else "---" for i in used}
    lines = [[head[i] for i in used], [kinds[i] for i in used]] + [[row[i] for i in used] for row in rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


class Results:
    """What was measured, by benchmark and case."""

    def __init__(self, results):
        self.all = [r for r in results if "skipped" not in r]
        self.skipped = [r for r in results if "skipped" in r]
        self.problems = [r for r in self.all if "problem" in r]

    def of(self, benchmark):
        return [r for r in self.all if r["benchmark"] == benchmark]

    def get(self, benchmark, case):
        return next((r for r in self.of(benchmark) if r["case"] == case), None)

    def value(self, benchmark, case):
        found = self.get(benchmark, case)
        return found["value"] if found else None


def plain_table(results, benchmark, cases):
    """Every case of a benchmark beside its peers."""
    rows = []
    peers = [p for p in ("kernel", "lwip", "responder") if any(p in r["peers"] for r in results.of(benchmark))]
    units = {r["unit"] for r in results.of(benchmark)}
    for r in results.of(benchmark):
        row = [f"`{r['case']}`", cases.get((benchmark, r["case"]), ""), r["unit"] if len(units) > 1 else "", spread(r)]
        for p in peers:
            row += [number(r["peers"].get(p)), times(r["ratios"][p]) if p in r["ratios"] else ""]
        rows.append(row)
    unit = f", {units.pop()}" if len(units) == 1 else ""
    return table(["case", "what", "unit", f"Synfin{unit}"] + [w for p in peers for w in (p, f"to {p}")], rows)


def curve(results):
    rows, fastest = [], max((r["value"] for r in results.of("lifecycle")), default=0)
    for r in results.of("lifecycle"):
        if r["case"] == "one-by-one":
            continue
        bar = "█" * round(24 * r["value"] / fastest)
        rows.append([number(r["established"]), number(r["time_wait"]), number(r["ns"]), bar] +
                    [times(r["ratios"][p]) if p in r["ratios"] else "" for p in ("kernel", "lwip")])
    return table(["idle connections", "in TIME-WAIT", "ns a life", "lives a second", "to kernel", "to lwip"], rows)


def late(results):
    r = results.get("request", "ping-pong")
    if not r:
        return ""
    rows = [["Synfin", number(r["value"]), number(r["p99"]), number(r["p99.9"]), times(r["p99.9"] / r["value"]),
             number(r["interrupted"])],
            ["machine", number(r["machine"]["p50"]), "", number(r["machine"]["p99.9"]),
             times(r["machine"]["p99.9"] / r["machine"]["p50"]), ""]]
    for p in ("kernel", "lwip"):
        if isinstance(r.get(p), dict):
            rows.append([p, number(r["peers"][p]), number(r[p]["p99"]), number(r[p]["p99.9"]), times(r[p]["p99.9 to p50"]), ""])
    return table(["", "p50, ns", "p99, ns", "p99.9, ns", "p99.9 to p50", "with another process on the core"], rows)


def parts(results, cases):
    rows = []
    counted = {r["case"]: r["value"] for r in results.of("instructions")}
    measured = {r["case"]: r for r in results.of("parts")}
    for name, r in measured.items():
        if name.endswith("-naive"):
            continue
        naive = measured.get(name + "-naive")
        row = [f"`{name}`", cases.get(("parts", name), ""), spread(r), number(counted.get(name))]
        row += [number(naive["value"]), times(naive["value"] / r["value"]), number(counted.get(name + "-naive"))] if naive else [""] * 3
        rows.append(row)
    return table(["part", "what", "ns", "instructions", "naive: ns", "that is", "instructions"], rows)


def paths(results, cases):
    known = {r["case"] for r in results.of("parts")}
    rows = []
    for r in results.of("instructions"):
        if r["case"] in known or r["case"].endswith("-naive") or r["case"] in ("parse", "emit"):
            continue
        rows.append([f"`{r['case']}`", cases.get(("instructions", r["case"]), ""), number(r["value"]), number(r["reads"]),
                     number(r["writes"]), number(r["D1 misses"]), number(r["octets from beyond D1"]), number(r["LL misses"]),
                     number(r["octets from beyond LL"]), number(r["I1 misses"])])
    return table(["path", "what", "instructions", "reads", "writes", "D1 misses", "octets moved into D1", "LL misses",
                  "octets moved from memory", "I1 misses"], rows)


def limits(results):
    rows = []
    for name, octets in [("copy-64k", 65536), ("copy-1460", 1460), ("checksum-64k", 65536), ("checksum-1460", 1460)]:
        ns = results.value("parts", name)
        if ns:
            rows.append([f"`{name}`", f"{octets / ns:.1f} GB/s"])
    for name, what in [("load", "a cache line from memory, one after the other"), ("load-8", "the same, eight on their way")]:
        ns = results.value("parts", name)
        if ns:
            rows.append([f"`{name}`: {what}", f"{ns:.0f} ns"])
    return table(["limit", "measured"], rows)


def distance(results):
    """What must be done by memory and vector units, in nanoseconds, beside what it takes."""
    rows = []
    ns = {name: results.value("parts", name) for name in
          ("copy-1460", "copy-64k", "checksum-1460", "checksum-64k", "load", "load-8", "tuple-hash", "isn")}

    def add(what, bound, least, takes):
        if least and takes:
            rows.append([what, bound, number(least), number(takes), times(takes / least)])

    def sum_of(*pairs):
        return None if any(ns[name] is None for name, _ in pairs) else sum(ns[name] * n for name, n in pairs)

    gigabits = results.value("bulk", "mss1460")
    add("a segment of 1,448 octets, both ends", "two copies, two checksums", sum_of(("copy-1460", 2), ("checksum-1460", 2)),
        SEGMENT * 8 / gigabits if gigabits else None)
    gigabits = results.value("bulk", "64k")
    add("64 KiB in super-segments, both ends", "two copies", sum_of(("copy-64k", 2)), 65536 * 8 / gigabits if gigabits else None)
    life, cold = results.value("lifecycle", "alone"), results.get("instructions", "life-cold")
    add("a life, caches warm", "a hash of the tuple for each of 7 segments received, an initial number for each end",
        sum_of(("tuple-hash", 7), ("isn", 2)), 1e9 / life if life else None)
    million = results.value("lifecycle", "million-idle-million-timewait")
    if cold and million and ns["load-8"]:
        add("a life beside a million", f"{number(cold['LL misses'])} lines from memory, eight on their way", cold["LL misses"] * ns["load-8"],
            1e9 / million)
    flood = results.value("synflood", "cookies")
    add("a SYN answered by a cookie", "two hashes, two checksums of 60 octets", sum_of(("tuple-hash", 2)) and
        sum_of(("tuple-hash", 2)) + 2 * (results.value("parts", "checksum") or 0), 1e9 / flood if flood else None)
    return table(["work", "what it cannot do without", "that takes at least, ns", "it takes, ns", "distance"], rows)


# Goals.

class Goal:
    def __init__(self, number_, what, wanted, judge):
        self.number, self.what, self.wanted, self.judge = number_, what, wanted, judge


def ratio(benchmark, case, peer, least):
    def judge(results):
        r = results.get(benchmark, case)
        if not r or peer not in r["ratios"]:
            return None
        return times(r["ratios"][peer]), r["ratios"][peer] >= least
    return judge


def at_least(benchmark, case, least, unit=""):
    def judge(results):
        r = results.get(benchmark, case)
        return r and (number(r["value"]) + unit, r["value"] >= least)
    return judge


def at_most(benchmark, case, most, unit=""):
    def judge(results):
        r = results.get(benchmark, case)
        return r and (number(r["value"]) + unit, r["value"] <= most)
    return judge


def window(wide, usual):
    """No loss: within the five percent by which runs differ. In turns within the case, if it says so."""
    def judge(results):
        a, b = results.value("bulk", wide), results.value("bulk", usual)
        if not a or not b:
            return None
        kept = results.get("bulk", wide).get("to 1 MiB", a / b)
        return times(kept), kept >= 0.95
    return judge


def flood_memory(results):
    all_cases = [r for r in results.of("synflood") if "legitimate" in r]
    if not all_cases:
        return None
    tried, completed = (sum(r["legitimate"][k] for r in all_cases) for k in ("tried", "completed"))
    return f"{number(completed)} of {number(tried)}, memory {'moved' if any('problem' in r for r in all_cases) else 'constant'}", (
        tried == completed and not any("problem" in r for r in all_cases))


def ten_million(results):
    r = results.get("memory", "established-10M")
    if not r:
        return None
    octets = r["all"] * 10_000_000 / r["ends"]
    return f"{octets / GIB:.2f} GiB", octets < 6 * GIB


def among(results):
    r = results.get("memory", "established-10M")
    if not r:
        return None
    alone, there, any_of_them = (r.get(f"answer {which} ns") for which in ("alone", "among them", "of any of them"))
    if not alone or not there or not any_of_them:
        return None
    words = f"{number(there)} ns, alone {number(alone)} ns; a different one each time {number(any_of_them)} ns"
    return words, there <= alone * 1.1


def late_enough(results):
    r = results.get("request", "ping-pong")
    return r and (times(r["p99.9"] / r["value"]), r["p99.9"] <= 3 * r["value"])


GOALS = [
    Goal(1, "a life, alone, to the kernel's loopback", "≥ 25 ×", ratio("lifecycle", "alone", "kernel", 25)),
    Goal(1, "beside 1,000,000 idle and 1,000,000 in TIME-WAIT", "≥ 14 ×",
         ratio("lifecycle", "million-idle-million-timewait", "kernel", 14)),
    Goal(2, "a stream, MSS 1,460, to the kernel's loopback at MTU 1,500", "≥ 3 ×", ratio("bulk", "mss1460", "kernel", 3)),
    Goal(2, "MSS 8,960, to the kernel's loopback of 64 KiB", "≥ 1.1 ×", ratio("bulk", "mss8960", "kernel", 1.1)),
    Goal(2, "super-segments of 64 KiB, to the same", "≥ 1.4 ×", ratio("bulk", "64k", "kernel", 1.4)),
    Goal(2, "MSS 1,460, a window of 16 MiB to one of 1 MiB", "≥ 0.95 ×", window("mss1460-16M", "mss1460")),
    Goal(2, "super-segments, a window of 16 MiB to one of 1 MiB", "≥ 0.95 ×", window("64k-16M", "64k")),
    Goal(3, "SYNs a second answered by cookies on one core", "≥ 8,000,000", at_least("synflood", "cookies", 8e6)),
    Goal(3, "the kernel's cost of one to Synfin's", "> 10 ×", ratio("synflood", "cookies", "kernel", 10)),
    Goal(3, "legitimate handshakes in the flood", "all, memory constant", flood_memory),
    Goal(4, "octets of a half-open connection", "≤ 72", at_most("memory", "half-open", 72)),
    Goal(4, "octets in TIME-WAIT", "≤ 72", at_most("memory", "time-wait", 72)),
    Goal(4, "octets of an idle established end", "≤ 512", at_most("memory", "established", 512)),
    Goal(4, "10,000,000 idle established connections", "< 6 GiB", ten_million),
    Goal(4, "an answer from one among them", "as if alone", among),
    Goal(5, "a stream in through TUN, to the responder that does nothing", "≥ 0.85 ×", ratio("tun", "receive", "responder", 0.85)),
    Goal(5, "a stream out", "≥ 0.85 ×", ratio("tun", "send", "responder", 0.85)),
    Goal(6, "ping-pong, p99.9 to p50", "≤ 3 ×", late_enough),
    Goal(7, "two shards to one, lives", "≥ 1.9 ×", at_least("scale", "lifecycle", 1.9, " ×")),
    Goal(7, "two shards to one, a stream each", "≥ 1.9 ×", at_least("scale", "bulk", 1.9, " ×")),
]


def goals(results):
    rows = []
    for goal in GOALS:
        verdict = goal.judge(results)
        if verdict:
            rows.append([str(goal.number), goal.what, goal.wanted, verdict[0], "met" if verdict[1] else "**not met**"])
    text = table(["goal", "what", "wanted", "measured", ""], rows)
    if results.get("request", "ping-pong"):
        text += ("\nThat no allocation and no system call is on the path of a ping-pong, of a stream and of a life (goal 6) is asserted by "
                 "`tests/protocol/no_allocation_test.cpp`.\n")
    return text


# The page.

def sections_of(frame):
    """The frame as (heading, text) pairs; the first has no heading."""
    pieces = re.split(r"^(?=## )", frame, flags=re.M)
    return [(piece.split("\n", 1) if piece.startswith("## ") else ["", piece]) for piece in pieces]


def fill(frame, values):
    """Without the sections in which nothing of what is asked for is there, and those that are empty."""
    out = []
    for heading, text in sections_of(frame):
        names = re.findall(r"\{(\w+)\}", text)
        if heading and not text.strip():
            continue
        if heading and names and not any(values[n] for n in names):
            continue
        for name in names:
            text = text.replace("{" + name + "}", values[name].rstrip("\n"))
        out.append((heading + "\n" if heading else "") + text)
    return re.sub(r"\n{3,}", "\n\n", "".join(out)).rstrip("\n") + "\n"


def page(stored):
    results, cases = Results(stored["results"]), {tuple(k.split(" ", 1)): v for k, v in stored["cases"].items()}
    counted = results.of("instructions")
    conditions = stored["conditions"]
    if results.skipped:
        whys = sorted({f"{r['benchmark']} ({r['skipped']})" for r in results.skipped})
        conditions += "\n\nNot measured: " + "; ".join(whys) + "."
    if results.problems:
        conditions += "\n\nWent wrong, so that the figure is worth nothing:\n\n" + "\n".join(
            f"- {r['benchmark']} {r['case']}: {r['problem']}" for r in results.problems)
    values = {"conditions": conditions, "goals": goals(results), "curve": curve(results), "late": late(results),
              "parts": parts(results, cases), "paths": paths(results, cases), "limits": limits(results),
              "distance": distance(results), "caches": counted[0]["simulated"] if counted else ""}
    for benchmark in ("lifecycle", "request", "bulk", "synflood", "handshake", "memory", "tun", "scale"):
        values[benchmark] = plain_table(results, benchmark, cases)
    with open(FRAME, encoding="utf-8") as file:
        return fill(file.read(), values)


# Measuring.

def listed():
    """"BENCHMARK CASE" → what it is."""
    text = subprocess.run([PROGRAM, "--list"], capture_output=True, text=True, check=True).stdout
    cases, benchmark = {}, ""
    for line in text.splitlines():
        if not line.startswith(" "):
            benchmark = line.split(":")[0]
        else:
            name, rest = line.split(None, 1)
            cases[f"{benchmark} {name}"] = re.sub(r" \[[^][]*\]$", "", rest.strip())
    return cases


def idle_seconds():
    """Of all processors, since boot: (idle, all)."""
    with open("/proc/stat", encoding="ascii") as file:
        values = [int(x) for x in file.readline().split()[1:9]]
    return values[3], sum(values)


def measure(options, cases):
    results, begin = [], time.monotonic()
    chosen = [p for p in PARTS if not options.only or p[0] in options.only]
    chosen = [p for p in chosen if any(re.search(p[1], c) for c in cases)]
    for at, (name, pattern, runs) in enumerate(chosen):
        print(f"[{at + 1}/{len(chosen)}] {name}, after {time.monotonic() - begin:.0f} s", file=sys.stderr)
        with tempfile.TemporaryDirectory() as folder:
            file = os.path.join(folder, "results.json")
            call = [PROGRAM, "--filter", pattern, "--json", file, "--runs", str(min(options.runs, runs or options.runs)),
                    "--scale", str(options.scale)]
            done = subprocess.run(call, stdout=subprocess.DEVNULL, check=False)
            try:
                with open(file, encoding="utf-8") as written:
                    results += json.load(written)
            except (OSError, json.JSONDecodeError):
                sys.exit(f"performance.py: {' '.join(call)} ended with status {done.returncode}")
    print(f"all in {time.monotonic() - begin:.0f} s", file=sys.stderr)
    return results


def machine():
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "unknown processor")
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release()}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="of each case")
    parser.add_argument("--scale", type=float, default=1, help="part of the usual work, for a try")
    parser.add_argument("--only", type=lambda t: t.split(","), default=[], metavar="NAME,…",
                        help="of " + ", ".join(p[0] for p in PARTS))
    parser.add_argument("--json", metavar="FILE", help="keep what was measured")
    parser.add_argument("--from", dest="earlier", action="append", default=[], metavar="FILE",
                        help="measure nothing: what --json kept; of several files the last word counts")
    parser.add_argument("--update", action="store_true", help="write docs/performance.md")
    options = parser.parse_args()
    if unknown := set(options.only) - {p[0] for p in PARTS}:
        parser.error(f"--only {unknown.pop()}: there is no such part")
    stored = {"conditions": "", "cases": {}, "results": []}
    if options.earlier:
        kept, conditions = {}, []
        for name in options.earlier:
            with open(name, encoding="utf-8") as file:
                earlier = json.load(file)
            kept.update({(r["benchmark"], r["case"]): r for r in earlier["results"]})
            stored["cases"].update(earlier["cases"])
            conditions.append(earlier["conditions"])
        stored["results"] = list(kept.values())
        stored["conditions"] = "\n\n".join(dict.fromkeys(conditions))
    else:
        stored["cases"] = listed()
        before, begin = idle_seconds(), time.monotonic()
        stored["results"] = measure(options, stored["cases"])
        after = idle_seconds()
        rest = (after[0] - before[0]) / max(1, after[1] - before[1])
        least = min((r["runs"] for r in stored["results"] if r["benchmark"] != "instructions"), default=options.runs)
        few = f" ({least} with ten million connections)" if least < options.runs else ""
        part = f" At {options.scale} of the usual work: a try, not figures." if options.scale < 1 else ""
        stored["conditions"] = (f"Measured on {machine()}; {options.runs} runs of each case{few}, in {time.monotonic() - begin:.0f} s; the "
                                f"processors were idle for {rest:.0%} of that (Synfin keeps one of them busy).{part}")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(stored, file, indent=0, ensure_ascii=False)
    text = page(stored)
    if options.update:
        with open(PAGE, "w", encoding="utf-8") as file:
            file.write(text)
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
