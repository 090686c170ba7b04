"""From a change to traffic that follows it. In: a Proxy under a control plane. Out: quantiles in ms.

A VirtualService is patched over and over between two servers that greet with their own letters; the
clock runs from the sending of the patch to the first new connection that the other server greets."""
import base64
import http.client
import json
import os
import socket
import ssl
import subprocess
import time
import urllib.parse

import contestants

PATH = "/apis/networking.istio.io/v1/namespaces/default/virtualservices/flip"
GIVE_UP = 5


class Api:
    """One kept connection to the API server of a home."""

    def __init__(self, chosen, home):
        argv = [str(chosen.kubectl), "config", "view", "--raw", "-o", "json"]
        env = {**os.environ, "KUBECONFIG": str(home / "kubeconfig")}
        text = subprocess.run(argv, check=True, stdout=subprocess.PIPE, env=env).stdout
        config = json.loads(text)
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        server = urllib.parse.urlsplit(cluster["server"])
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        context = ssl.create_default_context(cadata=authority)
        self.connection = http.client.HTTPSConnection(server.hostname, server.port, context=context, timeout=10)
        self.headers = {"authorization": "Bearer " + user["token"], "content-type": "application/merge-patch+json"}

    def route_to(self, name):
        destination = {"host": f"{name}.bench.test", "port": {"number": contestants.BACKENDS[name]}}
        match = [{"port": contestants.PORTS["flip"]}]
        body = json.dumps({"spec": {"tcp": [{"match": match, "route": [{"destination": destination}]}]}})
        self.connection.request("PATCH", PATH, body=body, headers=self.headers)
        response = self.connection.getresponse()
        text = response.read()
        if response.status != 200:
            raise RuntimeError(f"the patch was answered with {response.status}: {text[:500]}")


def greeted_by():
    """The greeting of a new connection; empty if it was closed."""
    with socket.create_connection((contestants.HOST, contestants.PORTS["flip"]), GIVE_UP) as connection:
        connection.settimeout(GIVE_UP)
        try:
            return connection.recv(64).decode().strip()
        except ConnectionResetError:
            return ""


def one_change(api, name):
    """-> (milliseconds to the acknowledgement, milliseconds to traffic, connections closed meanwhile)"""
    started = time.monotonic()
    api.route_to(name)
    acknowledged, closed = time.monotonic(), 0
    while (greeting := greeted_by()) != name:
        closed += not greeting
        if time.monotonic() - started > GIVE_UP:
            raise RuntimeError(f"traffic still goes to {greeting!r} after {GIVE_UP} s")
        time.sleep(0.0005)
    return (acknowledged - started) * 1e3, (time.monotonic() - started) * 1e3, closed


def quantile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def changes(chosen, proxy):
    servers = []
    try:
        for name in ("a", "b"):
            argv = [chosen.echo_server, contestants.BACKENDS[name], "--greeting", name]
            servers.append(contestants.spawn(argv, contestants.log_file(proxy.home, f"server-{name}"), chosen.load_cpu))
        contestants.wait_for("greeting servers", servers[-1], lambda: reaches("a") and reaches("b"))
        api = Api(chosen, proxy.home)
        samples = [one_change(api, "ba"[at % 2]) for at in range(chosen.changes)]
        kubectl = [kubectl_apply(chosen, proxy, "ba"[at % 2]) for at in range(10)]
    finally:
        for server in servers:
            contestants.stop(server)
    acknowledged, followed, closed = zip(*samples)
    return {"changes": len(samples), "closed_connections": sum(closed),
            "ack_p50_ms": quantile(acknowledged, 0.5), "ack_p99_ms": quantile(acknowledged, 0.99),
            "p50_ms": quantile(followed, 0.5), "p99_ms": quantile(followed, 0.99),
            "after_kubectl_p50_ms": quantile(kubectl, 0.5), "after_kubectl_max_ms": max(kubectl)}


def reaches(name):
    try:
        with socket.create_connection((contestants.HOST, contestants.BACKENDS[name]), 1):
            return True
    except OSError:
        return False


def kubectl_apply(chosen, proxy, name):
    """Milliseconds from the end of a `kubectl apply` to traffic that follows it."""
    route = contestants.ROUTE.format(name="flip", port=contestants.PORTS["flip"], to=name,
                                     backend=contestants.BACKENDS[name])
    env = {**os.environ, "KUBECONFIG": str(proxy.home / "kubeconfig"), "HOME": str(proxy.home)}
    argv = [str(chosen.kubectl), "apply", "-f", "-"]
    subprocess.run(argv, check=True, input=route.encode(), stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, env=env)
    ended = time.monotonic()
    while greeted_by() != name:
        if time.monotonic() - ended > GIVE_UP:
            raise RuntimeError(f"traffic does not follow kubectl apply within {GIVE_UP} s")
        time.sleep(0.0005)
    return (time.monotonic() - ended) * 1e3
