"""A caller that never waits: `hammer.py KEY SECONDS PORT…` asks the replicas in turn and prints its statuses."""

import http.client
import itertools
import json
import sys
import time
from collections import Counter


def main() -> None:
    key, seconds, *ports = sys.argv[1:]
    connections = [http.client.HTTPConnection("127.0.0.1", int(port), timeout=10) for port in ports]
    headers = {"X-API-Key": key, "Content-Type": "application/json"}
    body = json.dumps({"prompt": "hello"})
    statuses: Counter[int] = Counter()
    end = time.monotonic() + float(seconds)
    for connection in itertools.cycle(connections):
        connection.request("POST", "/query", body, headers)
        response = connection.getresponse()
        response.read()
        statuses[response.status] += 1
        if time.monotonic() > end:
            break
    sys.stdout.write(json.dumps(statuses))


if __name__ == "__main__":
    main()
