"""Lists and watches ConfigMaps as an informer does: goes on where a broken watch ended, lists anew
after 410 Gone. Prints "watching" once and "seen NAME" for each object. Usage: watch.py CONFIG_JSON
"""
import base64
import http.client
import json
import ssl
import sys
import time
import urllib.parse

with open(sys.argv[1]) as file:
    config = json.load(file)
cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
server = urllib.parse.urlsplit(cluster["server"])
if "certificate-authority-data" in cluster:
    ca = base64.b64decode(cluster["certificate-authority-data"]).decode()
    context = ssl.create_default_context(cadata=ca)
else:
    context = ssl.create_default_context(cafile=cluster["certificate-authority"])
PATH = "/api/v1/namespaces/default/configmaps"
seen = set()


def get(path):
    connection = http.client.HTTPSConnection(server.hostname, server.port, context=context, timeout=10)
    connection.request("GET", path, headers={"authorization": "Bearer " + user["token"]})
    return connection.getresponse()


def see(item):
    name = item["metadata"]["name"]
    if name not in seen:
        seen.add(name)
        print("seen", name, flush=True)


def relist():
    listed = json.load(get(PATH))
    for item in listed["items"]:
        see(item)
    return listed["metadata"]["resourceVersion"]


def watch(version):
    """Follows events from `version` to the end of the watch; returns where to go on."""
    response = get(f"{PATH}?watch=1&allowWatchBookmarks=true&resourceVersion={version}")
    if response.status == 410:
        return None
    if response.status != 200:
        raise OSError(f"status {response.status}")
    try:
        for line in response:
            event = json.loads(line)
            if event["type"] == "ERROR":
                return None
            version = event["object"]["metadata"]["resourceVersion"]
            if event["type"] != "BOOKMARK":
                see(event["object"])
    except (OSError, http.client.HTTPException, ValueError):
        pass
    return version


position = relist()
print("watching", flush=True)
while True:
    try:
        position = watch(position) if position else relist()
    except (OSError, http.client.HTTPException, ValueError):
        time.sleep(0.05)
