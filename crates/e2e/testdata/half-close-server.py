"""Says "bye", half-closes, then prints what still comes in. Usage: half-close-server.py PORT"""
import socket
import sys
import threading


def serve(peer):
    peer.sendall(b"bye")
    peer.shutdown(socket.SHUT_WR)
    received = b""
    while chunk := peer.recv(4096):
        received += chunk
    print("received", received.decode(), flush=True)


listener = socket.create_server(("", int(sys.argv[1])))
print("listening on", sys.argv[1], flush=True)
while True:
    accepted, _ = listener.accept()
    threading.Thread(target=serve, args=(accepted,), daemon=True).start()
