/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* From descriptors to sockets, and what is kept of a socket. */
#ifndef KLARTEXT_SOCKET_H
#define KLARTEXT_SOCKET_H

/* The socket behind a descriptor of this process; 0 for anything that is no internet socket. */
__noinline int socket_of(s32 descriptor, struct end *end)
{
  if (!end)
    return 0;
  end->socket = 0;
  end->inode = 0;
  struct task_struct *task = (void *)bpf_get_current_task();
  struct fdtable *table = BPF_CORE_READ(task, files, fdt);
  if (descriptor < 0 || (u32)descriptor >= BPF_CORE_READ(table, max_fds))
    return 0;
  struct file **files = BPF_CORE_READ(table, fd);
  struct file *file = NULL;
  if (bpf_probe_read_kernel(&file, sizeof(file), files + descriptor) || !file)
    return 0;
  struct inode *inode = BPF_CORE_READ(file, f_inode);
  if ((BPF_CORE_READ(inode, i_mode) & S_IFMT) != S_IFSOCK)
    return 0;
  struct socket *socket = BPF_CORE_READ(file, private_data);
  struct sock *sk = BPF_CORE_READ(socket, sk);
  if (!sk)
    return 0;
  u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);
  if (family != AF_INET && family != AF_INET6)
    return 0;
  end->socket = (u64)sk;
  end->inode = BPF_CORE_READ(inode, i_ino);
  return 1;
}

/* Addresses and role of a socket into a connection. */
__noinline int describe_socket(struct kt_connection *c, u64 socket)
{
  if (!c)
    return 0;
  struct sock *sk = (void *)socket;
  u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);
  c->socket = socket;
  c->protocol = BPF_CORE_READ(sk, sk_protocol);
  c->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
  c->peer_port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
  if (family == AF_INET) {
    u32 local = BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr);
    u32 peer = BPF_CORE_READ(sk, __sk_common.skc_daddr);
    __builtin_memcpy(c->local, &local, 4);
    __builtin_memcpy(c->peer, &peer, 4);
    c->address_size = 4;
  } else {
    BPF_CORE_READ_INTO(&c->local, sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr8);
    BPF_CORE_READ_INTO(&c->peer, sk, __sk_common.skc_v6_daddr.in6_u.u6_addr8);
    c->address_size = 16;
  }
  u8 *role = bpf_map_lookup_elem(&roles, &socket);
  if (role) {
    c->role = *role & ~ROLE_USED;
    return 0;
  }
  u16 port = c->local_port;
  bool serves = c->protocol == KT_PROTOCOL_TCP && bpf_map_lookup_elem(&listening, &port);
  c->role = serves ? KT_ROLE_SERVER : KT_ROLE_UNKNOWN;
  return 0;
}

static __always_inline void describe_process(struct kt_connection *c)
{
  struct task_struct *task = (void *)bpf_get_current_task();
  c->tgid = bpf_get_current_pid_tgid() >> 32;
  c->process_start_ns = BPF_CORE_READ(task, group_leader, start_boottime);
  c->cgroup_id = bpf_get_current_cgroup_id();
  c->cgroup = tell_cgroup();
  bpf_get_current_comm(c->comm, sizeof(c->comm));
}

static __always_inline void close_tls(struct kt_key *key, u32 flags)
{
  struct kt_connection *c = bpf_map_lookup_elem(&tls, key);
  if (!c)
    return;
  emit_notice(KT_EVENT_CLOSE, KT_SOURCE_TLS, key, c, KT_CLOSE | flags);
  bpf_map_delete_elem(&tls, key);
}

/* The end of a socket. A TLS object that talks through it ends with it. */
static __noinline int close_socket(struct kt_key *key)
{
  if (!key)
    return 0;
  struct kt_connection *c = bpf_map_lookup_elem(&sockets, key);
  if (!c)
    return 0;
  u32 flags = c->reset ? KT_RESET : 0;
  if (c->ssl) {
    struct kt_key tls_key = { .object = c->ssl, .tgid = c->ssl_tgid };
    struct kt_connection *bound = bpf_map_lookup_elem(&tls, &tls_key);
    if (bound && bound->socket == key->object)
      close_tls(&tls_key, flags);
  }
  emit_notice(KT_EVENT_CLOSE, KT_SOURCE_SOCKET, key, c, KT_CLOSE | flags);
  bpf_map_delete_elem(&sockets, key);
  return 0;
}

/* What is known of a socket. An entry of an earlier life of the same struct sock, whose end nobody tells for datagram
 * sockets, ends here. */
static __always_inline struct kt_connection *known_socket(struct kt_key *key, u64 inode)
{
  struct kt_connection *c = bpf_map_lookup_elem(&sockets, key);
  if (!c || c->inode == inode)
    return c;
  close_socket(key);
  return NULL;
}

static __noinline struct kt_connection *socket_connection(struct kt_key *key, u64 inode, struct datagram_peer *peer)
{
  if (!key)
    return NULL;
  struct kt_connection *c = known_socket(key, inode);
  if (c)
    return c;
  struct kt_connection new = {};
  new.number = new_number();
  new.source = KT_SOURCE_SOCKET;
  new.first = 1;
  new.inode = inode;
  describe_process(&new);
  describe_socket(&new, key->object);
  u8 *role = bpf_map_lookup_elem(&roles, &key->object);
  new.fresh = new.protocol == KT_PROTOCOL_UDP || (role && !(*role & ROLE_USED));
  if (role)
    *role |= ROLE_USED;
  if (key->peer && peer) {
    /* The local address of a socket bound to any stays unspecified, the port is right. */
    new.peer_port = peer->port;
    __builtin_memcpy(new.peer, peer->address, sizeof(new.peer));
  }
  if (peer && new.protocol == KT_PROTOCOL_UDP && new.role == KT_ROLE_UNKNOWN)
    new.role = peer->way == KT_EGRESS ? KT_ROLE_CLIENT : KT_ROLE_SERVER;
  bpf_map_update_elem(&sockets, key, &new, BPF_NOEXIST);
  emit_notice(KT_EVENT_OPEN, KT_SOURCE_SOCKET, key, &new, 0);
  return bpf_map_lookup_elem(&sockets, key);
}

/* A TLS object's socket has become known: it gets the addresses, the socket becomes its ciphertext. */
static __noinline int bind_tls(struct kt_key *key, struct end *end, s32 descriptor)
{
  if (!key || !end)
    return 0;
  struct kt_connection *c = bpf_map_lookup_elem(&tls, key);
  if (!c || c->socket)
    return 0;
  describe_socket(c, end->socket);
  c->descriptor = descriptor;
  struct kt_key socket_key = { .object = end->socket };
  struct kt_connection *carrier = socket_connection(&socket_key, end->inode, NULL);
  if (carrier) {
    /* The first to talk through a socket that was seen from its beginning. */
    c->fresh |= carrier->fresh && !carrier->ssl;
    carrier->cipher = 1;
    carrier->ssl = key->object;
    carrier->ssl_tgid = key->tgid;
  }
  emit_notice(KT_EVENT_BIND, KT_SOURCE_TLS, key, c, KT_BIND);
  return 0;
}

/* RFC 5246 section 6.2.3: 2^14 and at most 2048 of compression, padding and authentication. */
#define TLS_RECORD_BYTES_MAX (16384 + 2048)

/* The beginning of a TLS record that is long enough to be the only one of its kind. 0 = no such thing. */
__noinline u64 record_hash(u64 address, u64 size, u32 tgid)
{
  u64 words[4] = {};
  if (size < sizeof(words) || bpf_probe_read_user(words, sizeof(words), (void *)address))
    return 0;
  u8 type = words[0] & 0xff;
  u8 version = (words[0] >> 8) & 0xff;
  u8 minor = (words[0] >> 16) & 0xff;
  u32 length = ((words[0] >> 24) & 0xff) << 8 | ((words[0] >> 32) & 0xff);
  if (type < 0x14 || type > 0x17 || version != 3 || minor > 4 || length == 0 || length > TLS_RECORD_BYTES_MAX)
    return 0;
  u64 hash = tgid;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    hash = (hash ^ words[i]) * 0x9e3779b97f4a7c15ull;
    hash ^= hash >> 29;
  }
  return hash | 1;
}

#endif
