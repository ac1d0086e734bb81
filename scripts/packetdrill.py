#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the scripts of google/packetdrill against Synfin and writes the results into docs/packetdrill.md.

    scripts/packetdrill.py PACKETDRILL                     all scripts, three variants
    scripts/packetdrill.py PACKETDRILL tcp/close           those below a folder, or one script
    scripts/packetdrill.py PACKETDRILL --update            and writes the page

PACKETDRILL is a checkout of https://github.com/google/packetdrill with the tool built (its README says how).
Each script runs in a network namespace of its own, with a dummy device for the scripts' `tc` and `ip`; it
needs root or user namespaces. Nothing of the machine is touched.
"""

import argparse
import concurrent.futures
import fnmatch
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / 'docs' / 'packetdrill.md'
REASONS = ROOT / 'scripts' / 'packetdrill_reasons.txt'

V4 = ['--local_ip=192.168.0.1', '--gateway_ip=192.168.0.1', '--netmask_ip=255.255.0.0', '--remote_ip=192.0.2.1',
      '-D', 'TFO_COOKIE=3021b9d889017eeb', '-D', 'CODE=host_unreachable']
V6 = ['--mtu=1520', '--local_ip=fd3d:0a0b:17d6::1', '--gateway_ip=fd3d:0a0b:17d6:8888::1',
      '--remote_ip=fd3d:fa7b:d17d::1', '-D', 'TFO_COOKIE=c1d1e9742a47a9bc', '-D', 'CODE=address_unreachable']
CMSG4 = ['-D', 'CMSG_LEVEL_IP=SOL_IP', '-D', 'CMSG_TYPE_RECVERR=IP_RECVERR']
CMSG6 = ['-D', 'CMSG_LEVEL_IP=SOL_IPV6', '-D', 'CMSG_TYPE_RECVERR=IPV6_RECVERR']
VARIANTS = {
    'ipv4': (['--ip_version=ipv4', *V4, *CMSG4], 'sysctl'),
    'ipv6': (['--ip_version=ipv6', *V6, *CMSG6], 'sysctl,mtu=1520'),
    'mapped': (['--ip_version=ipv4-mapped-ipv6', *V4, *CMSG6], 'sysctl'),
}
# The folders whose scripts test what any TCP should show.
CORE = ['blocking', 'close', 'shutdown', 'mss', 'fast_retransmit', 'limited_transmit', 'sack', 'slow_start',
        'ts_recent', 'ioctl', 'validate']
SECONDS = 60

# Scripts name the device; no packet passes it. Not every kernel has dummy devices.
PREPARE = ('ip link set lo up; ip link add tun0 type dummy 2>/dev/null || ip tuntap add dev tun0 mode tun; '
           'ip link set tun0 up; exec "$@"')


def run(tool, so, script, variant):
    """(passed, what the tool said)."""
    arguments, flags = VARIANTS[variant]
    # A script that names addresses of its own, of IPv4, means them; the command line would win.
    text = script.read_text(errors='replace') if variant != 'ipv6' else ''
    arguments = [a for a in arguments if not (a.startswith('--') and f"\n{a.split('=')[0]}=" in text)]
    # The device's queueing discipline fq would pace what the kernel sends.
    if 'root fq' in script.read_text(errors='replace'):
        flags += ',tcp_pacing=1'
    namespace = ['unshare', '-n'] if os.geteuid() == 0 else ['unshare', '-rn']
    # The tool asks the system for TCP_INFO; preloaded, the object answers.
    command = [*namespace, 'sh', '-c', PREPARE, 'sh', 'env', f'LD_PRELOAD={so}', tool, f'--so_filename={so}',
               f'--so_flags={flags}', '--send_omit_free', *arguments, script.name]
    try:
        done = subprocess.run(command, cwd=script.parent, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=SECONDS, text=True, errors='replace')
    except subprocess.TimeoutExpired as late:
        text = late.stdout.decode(errors='replace') if late.stdout else ''
        return False, f'{text}\nno end after {SECONDS} s'
    return done.returncode == 0, done.stdout


def variants_of(script):
    for variant in VARIANTS:
        if variant != 'ipv6' and script.name.endswith('v6.pkt'):
            continue
        if variant == 'ipv6' and script.name.endswith('v4.pkt'):
            continue
        yield variant


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('packetdrill', type=pathlib.Path)
    parser.add_argument('paths', nargs='*', help='folders or scripts below gtests/net; all of tcp if none')
    parser.add_argument('--variant', choices=VARIANTS, action='append')
    parser.add_argument('--so', type=pathlib.Path, default=ROOT / 'build/release/libsynfin-packetdrill.so')
    parser.add_argument('--jobs', type=int, default=2)
    parser.add_argument('--core', action='store_true', help='only the folders that test core protocol behaviour')
    parser.add_argument('--update', action='store_true', help='write docs/packetdrill.md')
    parser.add_argument('-v', '--verbose', action='store_true', help='show what the tool says of failures')
    options = parser.parse_args()
    net = options.packetdrill.resolve() / 'gtests' / 'net'
    tool = str(net / 'packetdrill' / 'packetdrill')
    paths = options.paths or ([f'tcp/{name}' for name in CORE] if options.core else ['tcp'])
    scripts = sorted({s for path in paths
                      for s in ([net / path] if path.endswith('.pkt') else (net / path).rglob('*.pkt'))})
    jobs = [(script, variant) for script in scripts for variant in variants_of(script)
            if not options.variant or variant in options.variant]
    results = {}
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        futures = {pool.submit(run, tool, str(options.so.resolve()), *job): job for job in jobs}
        for future in concurrent.futures.as_completed(futures):
            script, variant = futures[future]
            passed, said = future.result()
            results[str(script.relative_to(net / 'tcp')), variant] = passed, said
            if not passed and options.verbose:
                print(f'--- {script.relative_to(net)} {variant}\n{said}')
    for (script, variant), (passed, said) in sorted(results.items()):
        if not passed:
            print(f'FAIL {script} {variant}: {summary(said)}')
    for variant in VARIANTS:
        mine = [(s, r[0]) for (s, v), r in results.items() if v == variant]
        core = [ok for s, ok in mine if s.split('/')[0] in CORE]
        if mine:
            print(f'{variant}: {sum(ok for _, ok in mine)} of {len(mine)} pass; of the core {sum(core)} of {len(core)}')
    if options.update:
        write_page(options.packetdrill, results)


def reason_for(script, reasons):
    for pattern, words in reasons:
        if fnmatch.fnmatch(script, pattern):
            return words
    return None


def read_reasons():
    """Lines PATTERN: why; the first pattern that fits counts."""
    pairs = []
    for line in REASONS.read_text().splitlines():
        if line and not line.startswith('#'):
            pattern, words = line.split(': ', 1)
            pairs.append((pattern, words))
    return pairs


def write_page(checkout, results):
    commit = subprocess.run(['git', '-C', str(checkout), 'log', '-1', '--format=%H (%cs)'], capture_output=True,
                            text=True, check=True).stdout.strip()
    names = {'ipv4': 'IPv4', 'ipv6': 'IPv6', 'mapped': 'mapped'}
    out = [f'Scripts of google/packetdrill at commit {commit}.', '',
           '| | ' + ' | '.join(names.values()) + ' |', '|---|' + '---|' * len(names)]
    scripts = sorted({s for s, _ in results})

    def row(title, chosen):
        cells = []
        for variant in names:
            mine = [results[s, variant][0] for s in chosen if (s, variant) in results]
            cells.append(f'{sum(mine)} of {len(mine)}')
        return f'| {title} | ' + ' | '.join(cells) + ' |'

    core = [s for s in scripts if s.split('/')[0] in CORE]
    out.append(row('**what any TCP should show** (' + ', '.join(CORE) + ')', core))
    for folder in sorted({s.split('/')[0] for s in scripts}):
        out.append(row(folder, [s for s in scripts if s.split('/')[0] == folder]))
    out += [row('**all**', scripts), '', '| script | ' + ' | '.join(names.values()) + ' | why not |',
            '|---|' + '---|' * len(names) + '---|']
    reasons = read_reasons()
    for script in scripts:
        got = {v: results.get((script, v)) for v in names}
        marks = ['–' if r is None else 'passes' if r[0] else '**fails**' for r in got.values()]
        why = ''
        if any(r is not None and not r[0] for r in got.values()):
            said = next(r[1] for r in got.values() if r is not None and not r[0])
            why = 'Names addresses of IPv4.' if 'bad IPv6 address' in said else reason_for(script, reasons)
            why = why or '`' + summary(said).replace('|', '/') + '`'
        out.append(f'| {script} | ' + ' | '.join(marks) + f' | {why} |')
    page = PAGE.read_text()
    begin, end = '<!-- packetdrill: results -->\n', '<!-- /packetdrill -->'
    before, rest = page.split(begin)
    PAGE.write_text(before + begin + '\n'.join(out) + '\n' + end + rest.split(end)[1])


def summary(said):
    for line in said.splitlines():
        match = re.match(r'^(?:\S+\.pkt:\d+: )(.*)', line)
        if match:
            return line[:200]
    return said.strip().splitlines()[-1][:200] if said.strip() else 'no message'


if __name__ == '__main__':
    sys.exit(main())
