// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
/*
 * Plaintext of TLS libraries and of sockets, with positions. Knows no protocol; the one exception is that a stream which
 * starts with a TLS record is ciphertext, of which only the handshake is copied.
 */
#include "kernel.h"
#include <asm/unistd.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include "segment.h"
#include "maps.bpf.h"
#include "emit.bpf.h"
#include "cgroup.bpf.h"
#include "datagram.bpf.h"
#include "socket.bpf.h"
#include "tls.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* UIO_MAXIOV: the kernel takes no more vectors. Of messages recvmmsg takes any number; beyond these they are counted. */
#define VECTORS_MAX 1024
#define MESSAGES_MAX 1024

struct gather {
  struct run run;
  u64 vectors;
  u64 left;
  u32 reason; /* why bytes are left in the end */
  u32 pad;
};

static long gather_vector(u32 index, struct gather *gather)
{
  struct iovec_user vector = {};
  if (!gather->left)
    return 1;
  if (bpf_probe_read_user(&vector, sizeof(vector), (void *)(gather->vectors + index * sizeof(vector)))) {
    gather->reason = KT_LOSS_FAULT;
    return 1;
  }
  u64 size = vector.size < gather->left ? vector.size : gather->left;
  gather->run.address = vector.base;
  gather->run.left = size;
  gather->left -= size;
  if (size)
    emit_run(&gather->run);
  return 0;
}

static __always_inline int emit_vectors(struct gather *gather, u64 vectors, u64 count)
{
  if (!gather)
    return 0;
  gather->left = gather->run.left;
  gather->vectors = vectors;
  /* A datagram may be longer than the vectors that took it (MSG_TRUNC). */
  gather->reason = count > VECTORS_MAX ? KT_LOSS_VECTORS : KT_LOSS_NOT_COPIED;
  bpf_loop(count < VECTORS_MAX ? count : VECTORS_MAX, gather_vector, gather, 0);
  if (gather->left) {
    count_loss(gather->reason, gather->left);
    emit_position(&gather->run, gather->left, KT_TRUNCATED);
  }
  return 0;
}

/* First bytes of what the call moved, to tell ciphertext: the first vector counts. */
static __always_inline u64 first_address(u64 address, u64 vectors, u64 *size)
{
  if (address)
    return address;
  struct iovec_user vector = {};
  if (!vectors || bpf_probe_read_user(&vector, sizeof(vector), (void *)vectors))
    return 0;
  if (vector.size < *size)
    *size = vector.size;
  return vector.base;
}

/*
 * `size` bytes passed on the socket of the call. `address` is the buffer of t->count bytes, or 0 where `vectors` (t->count
 * of them) describe it; both 0: the bytes never were in user memory.
 */
__noinline int socket_bytes(struct thread *t, u64 size, u64 address, u64 vectors)
{
  if (!t)
    return 0;
  u64 count = t->count;
  u64 socket = t->end.socket;
  struct kt_key key = { .object = socket };
  struct datagram_peer peer = { .way = t->call_way };
  struct sock *sk = (void *)socket;
  bool datagram = BPF_CORE_READ(sk, sk_protocol) == KT_PROTOCOL_UDP;
  if (!datagram && BPF_CORE_READ(sk, sk_protocol) != KT_PROTOCOL_TCP)
    return 0;
  if (datagram && BPF_CORE_READ(sk, __sk_common.skc_dport) == 0)
    key.peer = peer_of(&t->end, t->name, &peer);
  struct kt_connection *c = known_socket(&key, t->end.inode);
  if (!c) {
    /* While the call was under way another thread may have closed the socket: then what lies there is not it any more. */
    struct end now;
    if (!socket_of(t->descriptor, &now) || now.socket != socket || now.inode != t->end.inode) {
      count_loss(KT_LOSS_REPLACED, size);
      return 0;
    }
    c = socket_connection(&key, t->end.inode, &peer);
  }
  if (!c) {
    count_loss(KT_LOSS_TABLE_FULL, size);
    return 0;
  }
  count_seen(KT_SEEN_SOCKET, size);

  if (!datagram && !c->ssl) {
    u64 head_size = size;
    u64 head = first_address(address, vectors, &head_size);
    u32 tgid = bpf_get_current_pid_tgid() >> 32;
    if (head && (c->cipher || c->position[0] + c->position[1] == 0 || !c->fresh)) {
      u64 hash = record_hash(head, head_size, tgid);
      if (hash)
        c->cipher = 1;
      u64 *ssl = hash && t->call_way == KT_EGRESS ? bpf_map_lookup_elem(&ciphertext, &hash) : NULL;
      if (ssl) {
        struct kt_key tls_key = { .object = *ssl, .tgid = tgid };
        bind_tls(&tls_key, &t->end, t->descriptor);
        bpf_map_delete_elem(&ciphertext, &hash);
      }
    }
  }

  struct gather gather;
  start_run(&gather.run, &key, c, t->call_way, size, t->call_way == KT_EGRESS ? t->call_ns : bpf_ktime_get_ns());
  if (c->cipher && (c->ssl || gather.run.position >= KT_CIPHER_BYTES_MAX)) {
    count_loss(KT_LOSS_MUTED, size);
    return 0;
  }
  if (!settings.plain)
    return 0;
  /* The bytes of a stream were thrown away, those of a datagram were cut. */
  bool discarded = t->discards && !datagram;
  gather.run.address = address;
  if (address && !discarded) {
    u64 beyond = size > count ? size - count : 0;
    gather.run.left = size - beyond;
    if (gather.run.left)
      emit_run(&gather.run);
    if (beyond) {
      count_loss(KT_LOSS_NOT_COPIED, beyond);
      emit_position(&gather.run, beyond, KT_TRUNCATED);
    }
  } else if (vectors && !discarded)
    emit_vectors(&gather, vectors, count);
  else {
    count_loss(KT_LOSS_NOT_COPIED, size);
    emit_position(&gather.run, size, KT_TRUNCATED);
  }
  return 0;
}

static __always_inline int enter(u8 call, u8 way, s32 descriptor, u64 address, u64 count, u64 name, u64 flags)
{
  if (!is_target(bpf_get_current_pid_tgid() >> 32))
    return 0;
  struct thread *t = this_thread();
  if (!t) {
    count_loss(KT_LOSS_NO_MEMORY, 0);
    return 0;
  }
  t->call = CALL_NONE;
  /* Inside a TLS call: the socket it talks through, or, once that is known, another one that a callback uses. */
  if (t->outer.depth && !(t->bound && t->tls_descriptor != descriptor)) {
    if (!t->bound && socket_of(descriptor, &t->end)) {
      struct kt_key key = { .object = t->ssl, .tgid = bpf_get_current_pid_tgid() >> 32 };
      bind_tls(&key, &t->end, descriptor);
      t->bound = 1;
      t->tls_descriptor = descriptor;
    }
    return 0;
  }
  /* A look at bytes that stay in the queue moves nothing, and the urgent byte is not part of the stream. */
  if (way == KT_INGRESS && (flags & (MSG_PEEK | MSG_ERRQUEUE | MSG_OOB)))
    return 0;
  /* Looked up now: when the call returns the descriptor may lead elsewhere. */
  if (!socket_of(descriptor, &t->end))
    return 0;
  t->call = call;
  t->call_way = way;
  t->discards = way == KT_INGRESS && (flags & MSG_TRUNC);
  t->descriptor = descriptor;
  t->address = address;
  t->count = count;
  t->name = name;
  if (way == KT_EGRESS)
    t->call_ns = bpf_ktime_get_ns();
  return 0;
}

struct messages {
  struct thread *t;
  u64 address;
};

static long one_message(u32 index, struct messages *messages)
{
  struct mmsghdr_user message = {};
  if (bpf_probe_read_user(&message, sizeof(message), (void *)(messages->address + index * sizeof(message)))) {
    count_loss(KT_LOSS_FAULT, 0);
    return 1;
  }
  struct thread *t = messages->t;
  if (!t)
    return 1;
  t->name = message.header.name;
  t->count = message.header.vector_count;
  if (message.size)
    socket_bytes(t, message.size, 0, message.header.vectors);
  return 0;
}

static __always_inline int leave(s64 result)
{
  struct thread *t = this_thread();
  if (!t || t->call == CALL_NONE)
    return 0;
  u8 call = t->call;
  t->call = CALL_NONE;
  if (result <= 0 || paused)
    return 0;
  if (call == CALL_BUFFER) {
    socket_bytes(t, result, t->address, 0);
  } else if (call == CALL_VECTORS) {
    socket_bytes(t, result, 0, t->address);
  } else if (call == CALL_MESSAGE) {
    struct msghdr_user message = {};
    /* Without it the bytes pass as position only. */
    if (bpf_probe_read_user(&message, sizeof(message), (void *)t->address))
      count_loss(KT_LOSS_FAULT, 0);
    t->name = message.name;
    t->count = message.vector_count;
    socket_bytes(t, result, 0, message.vectors);
  } else if (call == CALL_MESSAGES) {
    struct messages messages = { .t = t, .address = t->address };
    bpf_loop(result < MESSAGES_MAX ? result : MESSAGES_MAX, one_message, &messages, 0);
    if (result > MESSAGES_MAX)
      count_loss(KT_LOSS_VECTORS, 0);
  } else {
    socket_bytes(t, result, 0, 0);
  }
  return 0;
}

/* One end is a pipe, the other may be a socket. */
static __noinline int splice(s32 from, s32 to)
{
  struct end end;
  if (socket_of(from, &end))
    return enter(CALL_POSITION, KT_INGRESS, from, 0, 0, 0, 0);
  return enter(CALL_POSITION, KT_EGRESS, to, 0, 0, 0, 0);
}

#define PROT_EXEC 4
#define MAP_ANONYMOUS 0x20

/* A library is mapped after exec, by the dynamic linker or by dlopen. */
static __noinline int code_mapped(u64 protection, u64 flags)
{
  if (!(protection & PROT_EXEC) || (flags & MAP_ANONYMOUS))
    return 0;
  struct kt_key key = { .tgid = bpf_get_current_pid_tgid() >> 32 };
  if (!paused && key.tgid != settings.self_tgid)
    emit_notice(KT_EVENT_EXEC, 0, &key, NULL, 0);
  return 0;
}

/*
 * System calls, through the two tracepoints that all of them pass: cheaper than one pair of perf events per call, and
 * taken away at once. 32-bit processes number their calls otherwise and are not looked at.
 */
SEC("tp_btf/sys_enter")
int system_call(u64 *args)
{
  struct pt_regs *regs = (void *)args[0];
  s64 number = args[1];
  u8 call = CALL_NONE;
  u8 way = KT_EGRESS;
  u64 flags = 0;
  u64 descriptor = regs->di;
  u64 count = 0;
  u64 name = 0;
  switch (number) {
  case __NR_read:
    call = CALL_BUFFER;
    way = KT_INGRESS;
    count = regs->dx;
    break;
  case __NR_write:
    call = CALL_BUFFER;
    count = regs->dx;
    break;
  case __NR_readv:
  case __NR_preadv2:
    call = CALL_VECTORS;
    way = KT_INGRESS;
    count = regs->dx;
    break;
  case __NR_writev:
  case __NR_pwritev2:
    call = CALL_VECTORS;
    count = regs->dx;
    break;
  case __NR_sendto:
    call = CALL_BUFFER;
    count = regs->dx;
    name = regs->r8;
    break;
  case __NR_recvfrom:
    call = CALL_BUFFER;
    way = KT_INGRESS;
    count = regs->dx;
    flags = regs->r10;
    name = regs->r8;
    break;
  case __NR_sendmsg:
    call = CALL_MESSAGE;
    break;
  case __NR_recvmsg:
    call = CALL_MESSAGE;
    way = KT_INGRESS;
    flags = regs->dx;
    break;
  case __NR_sendmmsg:
    call = CALL_MESSAGES;
    break;
  case __NR_recvmmsg:
    call = CALL_MESSAGES;
    way = KT_INGRESS;
    flags = regs->r10;
    break;
  case __NR_sendfile:
    call = CALL_POSITION;
    break;
  case __NR_splice:
    if (regs->cs == USER_CODE_64)
      splice(regs->di, regs->dx);
    return 0;
  case __NR_mmap:
    code_mapped(regs->dx, regs->r10);
    return 0;
  default:
    return 0;
  }
  if (regs->cs != USER_CODE_64)
    return 0;
  return enter(call, way, descriptor, regs->si, count, name, flags);
}

SEC("tp_btf/sys_exit")
int system_call_done(u64 *args)
{
  struct pt_regs *regs = (void *)args[0];
  switch (regs->orig_ax) {
  case __NR_read:
  case __NR_write:
  case __NR_readv:
  case __NR_preadv2:
  case __NR_writev:
  case __NR_pwritev2:
  case __NR_sendto:
  case __NR_recvfrom:
  case __NR_sendmsg:
  case __NR_recvmsg:
  case __NR_sendmmsg:
  case __NR_recvmmsg:
  case __NR_sendfile:
  case __NR_splice:
    return leave(args[1]);
  }
  return 0;
}

SEC("tp_btf/inet_sock_set_state")
int socket_state(u64 *args)
{
  u64 socket = args[0];
  int old_state = args[1];
  int new_state = args[2];
  struct sock *sk = (void *)socket;
  if (paused || BPF_CORE_READ(sk, sk_protocol) != KT_PROTOCOL_TCP)
    return 0;
  u16 port = BPF_CORE_READ(sk, __sk_common.skc_num);
  if (new_state == TCP_LISTEN) {
    u8 one = 1;
    bpf_map_update_elem(&listening, &port, &one, BPF_ANY);
  } else if (old_state == TCP_LISTEN) {
    bpf_map_delete_elem(&listening, &port);
  } else if (new_state == TCP_SYN_SENT) {
    u8 role = KT_ROLE_CLIENT;
    bpf_map_update_elem(&roles, &socket, &role, BPF_ANY);
  } else if (old_state == TCP_SYN_RECV && new_state == TCP_ESTABLISHED) {
    u8 role = KT_ROLE_SERVER;
    bpf_map_update_elem(&roles, &socket, &role, BPF_ANY);
  }
  if (new_state != TCP_CLOSE)
    return 0;
  struct kt_key key = { .object = socket };
  struct kt_connection *c = bpf_map_lookup_elem(&sockets, &key);
  if (!c)
    return 0;
  /* No FIN went before: one end reset the connection, or let unread bytes go. */
  c->reset = old_state == TCP_ESTABLISHED;
  /* Who still holds it may read what is queued, or is about to return from a call: it ends when it is destroyed. */
  if (!BPF_CORE_READ(sk, sk_socket))
    close_socket(&key);
  return 0;
}

SEC("tp_btf/tcp_destroy_sock")
int socket_destroyed(u64 *args)
{
  u64 socket = args[0];
  if (paused)
    return 0;
  bpf_map_delete_elem(&roles, &socket);
  struct kt_key key = { .object = socket };
  close_socket(&key);
  return 0;
}

/* New code in a process: the addon looks for TLS libraries at once, not at its next round. */
SEC("tp_btf/sched_process_exec")
int process_exec(u64 *args)
{
  struct kt_key key = { .tgid = bpf_get_current_pid_tgid() >> 32 };
  if (!paused)
    emit_notice(KT_EVENT_EXEC, 0, &key, NULL, 0);
  return 0;
}
