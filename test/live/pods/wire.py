"""The network between two nodes: a TUN device in each of two network namespaces, and this process between them, which passes
every packet on after a time that can be set per direction. What netem would do where the kernel has it not.

argv: two network namespaces, the name of the device in both. Prints `ready`; then each line of the input is the time there
and back, in µs, for packets from now on. Ends with its input.
"""
import ctypes, fcntl, heapq, os, selectors, struct, sys, time

TUNSETIFF, IFF_TUN, IFF_NO_PI, CLONE_NEWNET = 0x400454CA, 0x0001, 0x1000, 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def device(namespace, name):
    with open(f'/run/netns/{namespace}') as place:
        if libc.setns(place.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f'setns {namespace}')
    tun = os.open('/dev/net/tun', os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack('16sH', name.encode(), IFF_TUN | IFF_NO_PI))
    return tun


first, second, name = sys.argv[1:]
ends = [device(first, name), device(second, name)]
delays = [0.0, 0.0]
# Packets on their way: when they arrive, in order, at which end.
waiting, number = [], 0
selector = selectors.DefaultSelector()
for end in ends:
    selector.register(end, selectors.EVENT_READ)
os.set_blocking(0, False)
selector.register(0, selectors.EVENT_READ)
print('ready', flush=True)
while True:
    due = None if not waiting else max(0, waiting[0][0] - time.monotonic())
    for key, _ in selector.select(due):
        if key.fd == 0:
            said = os.read(0, 4096)
            if not said:
                sys.exit(0)
            delays = [int(us) / 1e6 for us in said.split(b'\n')[-2].split()]
            print('set', flush=True)
            continue
        at = ends.index(key.fd)
        while True:
            try:
                packet = os.read(key.fd, 65536)
            except BlockingIOError:
                break
            except OSError:
                # Not up yet, or down again.
                break
            number += 1
            heapq.heappush(waiting, (time.monotonic() + delays[at], number, 1 - at, packet))
    now = time.monotonic()
    while waiting and waiting[0][0] <= now:
        _, _, at, packet = heapq.heappop(waiting)
        try:
            os.write(ends[at], packet)
        except OSError:
            # As a network does with what it cannot carry.
            pass
