"""A TLS server and client in one process over a real socket: writes of given sizes, then says what each end sent."""
import hashlib, json, os, socket, ssl, sys, threading

folder, port, shape = sys.argv[1], int(sys.argv[2]), sys.argv[3]
# The test says when: by then this process is known to the capture.
sys.stdin.readline()
SIZES = [1, 16384, 16385, 65537, 1 << 20]

server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
server_context.load_cert_chain(folder + '/cert.pem', folder + '/key.pem')
client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
client_context.check_hostname = False
client_context.verify_mode = ssl.CERT_NONE
listener = socket.create_server(('127.0.0.1', port))
result = {}

def payloads():
    if shape == 'flood':
        block = os.urandom(65536)
        return [block] * int(sys.argv[4])
    return [os.urandom(size) for size in SIZES * 2]

def send(end, name):
    digest, total = hashlib.sha256(), 0
    for data in payloads():
        digest.update(data)
        total += len(data)
        if shape == 'partial':
            # A small send buffer, no blocking: partial writes and retries of the same bytes.
            view = memoryview(data)
            while view:
                try:
                    view = view[end.send(view):]
                except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
                    import select
                    select.select([], [end], [], 1)
        else:
            end.sendall(data)
    result[name] = [digest.hexdigest(), total]

def receive(end, size):
    left = size
    while left > 0:
        try:
            data = end.recv(1 if shape == 'bytes' and left % 50000 == 0 else 20000)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            import select
            select.select([end], [], [], 1)
            continue
        if not data:
            break
        left -= len(data)

def expected():
    return (65536 * int(sys.argv[4])) if shape == 'flood' else sum(SIZES) * 2

def serve():
    raw, _ = listener.accept()
    end = server_context.wrap_socket(raw, server_side=True)
    receive(end, expected())
    send(end, 'to_client')
    end.unwrap() if shape != 'partial' else None
    end.close()

thread = threading.Thread(target=serve)
thread.start()
raw = socket.create_connection(('127.0.0.1', port))
if shape == 'partial':
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
end = client_context.wrap_socket(raw)
if shape == 'partial':
    end.setblocking(False)
send(end, 'to_server')
receive(end, expected())
if shape != 'partial':
    try:
        end.unwrap()
    except (ssl.SSLError, OSError):
        pass
end.close()
thread.join()
print(json.dumps(result))
