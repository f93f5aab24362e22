#!/usr/bin/env python3
"""Reloads an agent again and again while clients post CloudTrail documents, and says what they notice.

    compare.py wattle target/release/wattle [source]
    compare.py vector path/to/vector [source]

Both do the same job (mask access keys, unroll records, split off reads, two files) and answer a request when its events
are written. The script sends SIGHUP as soon as the changed file is in place. A version is known by the text that
stands in the place of a key. With `source`, an option of the HTTP source changes as well, which asks for another one.
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

RELOADS = 40
PAUSE = 0.5
CLIENTS = 2
RECORDS = 40

WATTLE = """
[agent]
workers = 2
[sources.posts]
type = "http"
address = "127.0.0.1:{port}"
framing = "document"
{source}
[pipelines.main]
inputs = ["posts"]
pack = "cloudtrail@1.0.0"
params = {{ mask_text = "{mark}" }}
[sinks.processed]
type = "file"
inputs = ["main.processed", "main.fails"]
path = "processed.ndjson"
encoding.codec = "text"
fsync = "never"
[sinks.reads]
type = "file"
inputs = ["main.get_describe_list"]
path = "reads.ndjson"
encoding.codec = "text"
fsync = "never"
"""

VECTOR = """
data_dir: .
sources:
  posts:
    type: http_server
    address: 127.0.0.1:{port}
    decoding: {{ codec: json }}
    framing: {{ method: bytes }}
    {source}
transforms:
  unroll:
    type: remap
    inputs: [posts]
    source: ". = unnest!(.Records)"
  mask:
    type: remap
    inputs: [unroll]
    source: |
      . = object!(.Records)
      . = redact(., filters: [r'\\b(AKIA|ASIA)[A-Z0-9]{{16}}\\b'], redactor: {{"type": "text", "replacement": "{mark}"}})
  split:
    type: route
    inputs: [mask]
    route:
      reads: match(string!(.eventName), r'^(Get|List|Describe)')
sinks:
  processed:
    type: file
    inputs: [split._unmatched]
    path: processed.ndjson
    encoding: {{ codec: json }}
    acknowledgements: {{ enabled: true }}
  reads:
    type: file
    inputs: [split.reads]
    path: reads.ndjson
    encoding: {{ codec: json }}
    acknowledgements: {{ enabled: true }}
"""


def document(stream, number):
    """Records that each have an id of their own and a key to be masked."""
    records = []
    for index in range(RECORDS):
        name = ("GetObject", "PutObject", "AssumeRole", "DescribeInstances")[index % 4]
        records.append({
            "eventVersion": "1.08",
            "eventTime": "2026-01-01T00:00:00Z",
            "eventName": name,
            "eventSource": "s3.amazonaws.com",
            "eventID": f"id-{stream}-{number}-{index}",
            "userIdentity": {"type": "IAMUser", "accessKeyId": "AKIAIOSFODNN7EXAMPLE", "userName": "somebody"},
            "requestParameters": {"bucketName": "logs", "prefix": "a/b/c" * 20},
        })
    return json.dumps({"Records": records}).encode()


class Client(threading.Thread):
    """Posts one document after another, each when the one before is answered."""

    def __init__(self, stream, port):
        super().__init__()
        self.stream, self.port = stream, port
        self.samples, self.sent, self.refused, self.ends = [], [], 0, False

    def run(self):
        number, connection = 0, None
        while not self.ends:
            body, since = document(self.stream, number), time.monotonic()
            try:
                connection = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
                connection.request("POST", "/", body)
                answer = connection.getresponse()
                answer.read()
                taken = answer.status == 200
            except (OSError, http.client.HTTPException):
                taken, connection = False, None
            if taken:
                self.sent.append(number)
            else:
                # The request was not acknowledged, so it does not count; another document is sent in its place.
                self.refused += 1
            self.samples.append((since, time.monotonic()))
            number += 1


def quantile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))] if values else float("nan")


def wait_for_port(port, agent):
    while agent.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    sys.exit(f"the agent ended: see {os.getcwd()}/log")


def main():
    kind, binary, changes_source = sys.argv[1], os.path.abspath(sys.argv[2]), "source" in sys.argv[3:]
    template, name = (WATTLE, "agent.toml") if kind == "wattle" else (VECTOR, "vector.yaml")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.chdir(tempfile.mkdtemp(prefix="compare-"))
    for output in ("processed.ndjson", "reads.ndjson"):
        open(output, "w").close()

    def save(number):
        option = "max_connections = {}" if kind == "wattle" else "headers: [x-{}]"
        source = option.format(1000 + number) if changes_source else ""
        with open("new", "w") as file:
            file.write(template.format(port=port, mark=f"mark-{number}-", source=source))
        os.rename("new", name)

    save(0)
    command = [binary, "run", "--config", name, "--no-watch"] if kind == "wattle" else [binary, "--config", name, "-q"]
    log = open("log", "w")
    agent = subprocess.Popen(command, stdout=log, stderr=log)
    wait_for_port(port, agent)
    time.sleep(8)
    clients = [Client(stream, port) for stream in range(CLIENTS)]
    for client in clients:
        client.start()
    time.sleep(2)
    seen = open("processed.ndjson", "rb")
    spans, effects = [], []
    for reload in range(1, RELOADS + 1):
        mark = f"mark-{reload}-"
        seen.seek(0, os.SEEK_END)
        saved = time.monotonic()
        save(reload)
        agent.send_signal(signal.SIGHUP)
        while mark.encode() not in seen.read():
            time.sleep(0.001)
        effect = time.monotonic()
        effects.append(effect - saved)
        spans.append((saved, effect + 0.05))
        time.sleep(PAUSE)
    for client in clients:
        client.ends = True
    for client in clients:
        client.join()
    agent.send_signal(signal.SIGTERM)
    agent.wait(60)
    found = {}
    for output in ("processed.ndjson", "reads.ndjson"):
        for line in open(output):
            event = json.loads(line)
            event = event.get("Record", event)["eventID"]
            found[event] = found.get(event, 0) + 1
    sent = [f"id-{c.stream}-{n}-{i}" for c in clients for n in c.sent for i in range(RECORDS)]
    near, quiet = [], []
    for since, until in (sample for client in clients for sample in client.samples):
        is_near = any(since < end and until > begin for begin, end in spans)
        (near if is_near else quiet).append((until - since) * 1e3)
    print(json.dumps({
        "agent": kind,
        "changes_source": changes_source,
        "reloads": RELOADS,
        "save_to_effect_ms": round(quantile(effects, 0.5) * 1e3, 1),
        "save_to_effect_p95_ms": round(quantile(effects, 0.95) * 1e3, 1),
        "p99_near_ms": round(quantile(near, 0.99), 1),
        "p99_quiet_ms": round(quantile(quiet, 0.99), 1),
        "longest_ms": round(max(near + quiet), 1),
        "requests": len(near) + len(quiet),
        "refused": sum(client.refused for client in clients),
        "acknowledged_events": len(sent),
        "lost": sum(event not in found for event in sent),
        "doubled": sum(count > 1 for count in found.values()),
    }))


main()
