/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* The other end of a datagram on a socket that is connected to nobody. */
#ifndef KLARTEXT_DATAGRAM_H
#define KLARTEXT_DATAGRAM_H

/* The other end, and which way the first datagram went. */
struct datagram_peer {
  u8 address[16];
  u16 port;
  u8 way;
  u8 pad[5];
};

/* To whom a socket has sent. While it was one only, and before anything was received, a receiver that does not ask for the
 * sender (recv, read) can mean no other. */
struct sent_to {
  u64 inode;
  u32 hash;
  u32 others; /* there are more */
  struct datagram_peer peer;
};

/* By struct sock; `inode` tells one life of it from the next. The oldest go: their answers then come from nobody known. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 16384);
  __type(key, u64);
  __type(value, struct sent_to);
} sent SEC(".maps");

/* From the sockaddr of the call; answers a hash, 0 where there is none. */
static __noinline u32 named_peer(u64 name, struct datagram_peer *peer)
{
  u8 raw[28] = {};
  if (!peer || !name || bpf_probe_read_user(raw, 16, (void *)name))
    return 0;
  u16 family = raw[0] | (raw[1] << 8);
  u8 *address = peer->address;
  peer->port = (raw[2] << 8) | raw[3];
  u32 hash = peer->port * 2654435761u;
  if (family == AF_INET) {
#pragma unroll
    for (int i = 0; i < 4; i++)
      address[i] = raw[4 + i];
  } else if (family == AF_INET6 && !bpf_probe_read_user(raw, 28, (void *)name)) {
#pragma unroll
    for (int i = 0; i < 16; i++)
      address[i] = raw[8 + i];
  } else {
    return 0;
  }
#pragma unroll
  for (int i = 0; i < 16; i++)
    hash = (hash ^ address[i]) * 16777619u;
  return hash | 1;
}

/* `hash` 0: somebody unknown. */
static __noinline struct sent_to *remember_sent(struct end *end, u32 hash, struct datagram_peer *peer)
{
  if (!end || !peer)
    return NULL;
  struct sent_to *known = bpf_map_lookup_elem(&sent, &end->socket);
  if (known && known->inode == end->inode) {
    if (hash && known->hash != hash)
      known->others = 1;
    return known;
  }
  struct sent_to first = { .inode = end->inode, .hash = hash, .others = !hash, .peer = *peer };
  bpf_map_update_elem(&sent, &end->socket, &first, BPF_ANY);
  return NULL;
}

/* The hash of the other end, and who it is; 0 = not known. */
static __noinline u32 peer_of(struct end *end, u64 name, struct datagram_peer *peer)
{
  if (!end || !peer)
    return 0;
  u32 hash = named_peer(name, peer);
  if (hash) {
    if (peer->way == KT_EGRESS)
      remember_sent(end, hash, peer);
    return hash;
  }
  struct sent_to *only = remember_sent(end, 0, peer);
  if (!only || only->others)
    return 0;
  *peer = only->peer;
  return only->hash;
}

#endif
