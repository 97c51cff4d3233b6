"""Writes measured figures into docs/PERFORMANCE.md, between two markers each."""

import itertools
import os

from programs import TOP

PATH = os.path.join(TOP, "docs", "PERFORMANCE.md")


def _replace(name, lines):
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    with open(PATH, encoding="utf-8") as file:
        text = file.read()
    head, found, rest = text.partition(begin)
    _, found_end, tail = rest.partition(end)
    if not found or not found_end:
        raise SystemExit(f"{PATH} has no {begin} ... {end}")
    with open(PATH, "w", encoding="utf-8") as file:
        file.write(head + begin + "\n" + "\n".join(lines) + "\n" + end + tail)


def _number(value):
    if value is None:
        return ""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _compared(line):
    """What the target bounds, with its range."""
    if line["target_of"] == "difference":
        text = f"{line['difference']:+.3g} ms"
    elif line["target_of"] == "ratio":
        text = f"{line['ratio']:.2f}"
    else:
        text = _number(line["value"])
    return f"{text} ({_number(line['min'])} to {_number(line['max'])})"


def _params(line):
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in line["params"].items())


def _write_gateway(lines):
    """Requests a CPU second of all proxies, and their p99, in one row each."""
    rows = ["| figure | gateway | nginx | HAProxy | against the better (range) | target | met "
            "| p99 in ms: gateway, nginx, HAProxy |", "| --- | --- | --- | --- | --- | --- | --- | --- |"]
    for line in lines:
        if "skipped" in line:
            rows.append(f"| {line['name']} | | | | not measured: {line['skipped']} | | | |")
            continue
        rates, p99 = line["rates"], line["p99_ms"]
        met = {True: "yes", False: "**no**", None: ""}[line["met"]]
        rows.append("| " + " | ".join([
            line["name"], *(_number(rates.get(who)) for who in ("rgate", "nginx", "haproxy")),
            _compared(line), line["target"] or "", met,
            ", ".join(f"{p99[who]:.3g}" for who in ("rgate", "nginx", "haproxy") if who in p99),
        ]) + " |")
    _replace("gateway", rows)


def write_results(lines):
    gateway = [line for line in lines if line["name"].startswith("gateway_")]
    lines = [line for line in lines if line not in gateway]
    if gateway:
        _write_gateway(gateway)
    if not lines:
        return
    machine = lines[0]["machine"]
    rows = [
        f"Machine: {machine['cores']} cores, Linux {machine['kernel']}, at most "
        f"{machine['descriptor_hard_limit']} descriptors a process.", "",
        "| figure | gateway | reference | compared (range of the repeats) | target | met |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for line in lines:
        if "skipped" in line:
            rows.append(f"| {line['name']} | | | not measured: {line['skipped']} | | |")
            continue
        met = {True: "yes", False: "**no**", None: ""}[line["met"]]
        cells = [f"{line['name']}: {line['unit']}", _number(line["value"]),
                 _number(line["reference"]), _compared(line), line["target"] or "", met]
        rows.append("| " + " | ".join(cells) + " |")
    rows += ["", "Parameters:", ""]
    measured = [line for line in lines if "skipped" not in line]
    for params, same in itertools.groupby(measured, _params):
        rows.append(f"* {', '.join(line['name'] for line in same)}: {params}")
    _replace("results", rows)


def write_profile(tables):
    rows = []
    for title, table in tables:
        rows += [f"**{title}**", "", "| share | where | function |", "| --- | --- | --- |"]
        rows += [f"| {share:.1f} % | {dso} | {symbol} |" for share, dso, symbol in table]
        rows.append("")
    _replace("profile", rows[:-1])
