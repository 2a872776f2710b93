"""A plain HTTP proxy that knows CONNECT alone, as companies have them, and remembers where it was asked to go.

    connect_proxy.py --to PORT    prints its own port; whatever name is asked for is that port of this machine
"""

import signal
import socket
import socketserver
import sys
import threading


class _Handler(socketserver.StreamRequestHandler):
    def handle(self):
        method, target, _ = self.rfile.readline().decode("latin-1").split(" ", 2)
        while self.rfile.readline().strip():
            pass
        if method != "CONNECT":
            self.wfile.write(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
            return
        self.server.asked.append(target)
        host, _, port = target.rpartition(":")
        with socket.create_connection(self.server.leads_to or (host, int(port))) as upstream:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=self._copy, args=(upstream, self.connection), daemon=True)
            back.start()
            self._copy(self.connection, upstream)
            back.join()

    @staticmethod
    def _copy(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            return  # one of the two is gone


class ConnectProxy(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, leads_to=None):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked = []
        self.leads_to = leads_to  # an address for all names, so that none has to be known
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self._thread = threading.Thread(target=self.serve_forever, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_exception):
        self.shutdown()
        self.server_close()
        self._thread.join()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with ConnectProxy(("127.0.0.1", int(sys.argv[2]))) as proxy:
        print(proxy.server_address[1], flush=True)
        signal.pause()
