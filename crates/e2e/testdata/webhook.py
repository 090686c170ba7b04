"""Two admission webhooks over HTTPS. Usage: webhook.py FOLDER PORT

/mutate annotates every ConfigMap with seen=yes; /validate denies the name "forbidden". Writes the
registration of both to FOLDER/webhooks.yaml.
"""
import base64
import http.server
import json
import ssl
import subprocess
import sys

folder, port = sys.argv[1], int(sys.argv[2])
key, cert = f"{folder}/webhook.key", f"{folder}/webhook.crt"
subprocess.run(
    ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
     "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=webhook",
     "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"],
    check=True, stderr=subprocess.DEVNULL)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))["request"]
        response = {"uid": request["uid"], "allowed": True}
        if self.path.startswith("/mutate"):
            patch = [{"op": "add", "path": "/metadata/annotations", "value": {"seen": "yes"}}]
            response["patchType"] = "JSONPatch"
            response["patch"] = base64.b64encode(json.dumps(patch).encode()).decode()
        elif request["name"] == "forbidden":
            response = {"uid": request["uid"], "allowed": False, "status": {"message": "not this name"}}
        review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
        body = json.dumps(review).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


with open(cert, "rb") as file:
    bundle = base64.b64encode(file.read()).decode()
with open(f"{folder}/webhooks.yaml", "w") as file:
    for kind, path in (("Mutating", "mutate"), ("Validating", "validate")):
        file.write(f"""apiVersion: admissionregistration.k8s.io/v1
kind: {kind}WebhookConfiguration
metadata: {{name: {path}}}
webhooks:
- name: {path}.example.test
  clientConfig: {{url: "https://127.0.0.1:{port}/{path}", caBundle: {bundle}}}
  rules: [{{operations: [CREATE], apiGroups: [""], apiVersions: [v1], resources: [configmaps]}}]
  failurePolicy: Fail
  sideEffects: None
  admissionReviewVersions: [v1]
---
""")

server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(cert, key)
server.socket = context.wrap_socket(server.socket, server_side=True)
print("listening", flush=True)
server.serve_forever()
