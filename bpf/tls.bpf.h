/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Probes in TLS libraries. The cookie of a probe says which function it is in and where its arguments are.
 *
 * Of the 1.2 µs that a library call with its socket call costs more (test/bench/capture/ping_pong.c, programs with parts
 * left out), 0.73 are the entry and the return trap themselves, 0.13 the passage through two tracepoints, 0.24 what the
 * programs do before there is anything to tell, 0.13 the record in the ring.
 */
#ifndef KLARTEXT_TLS_H
#define KLARTEXT_TLS_H

/* Roles, in the order of native/src/placement.hpp. */
#define ROLE_READ 0
#define ROLE_READ_EX 1
#define ROLE_READ_INTERNAL 2
#define ROLE_WRITE 3
#define ROLE_WRITE_EX 4
#define ROLE_WRITE_EX2 5
#define ROLE_WRITE_INTERNAL 6
#define ROLE_HANDSHAKE 7
#define ROLE_SHUTDOWN 8
#define ROLE_FREE 9
#define ROLE_CLEAR 10
#define ROLE_SET_FD 11
#define ROLE_SET_RFD 12
#define ROLE_SET_WFD 13
#define ROLE_BIO_WRITE 14
#define ROLE_BUFFER_GROW 15
#define ROLE_UP_REF 16

/* BUF_MEM of <openssl/buffer.h>, public since the beginning. */
struct buffer {
  u64 length;
  u64 data;
};

/* In assembly, so that the compiler does not fold the loads into one with a computed offset, which the verifier refuses. */
#define READ_REGISTER(NUMBER, NAME)                                                                                    \
  case NUMBER:                                                                                                         \
    asm volatile("%[value] = *(u64 *)(%[regs] + %[at])"                                                                \
                 : [value] "=r"(value)                                                                                 \
                 : [regs] "r"(regs), [at] "i"(__builtin_offsetof(struct pt_regs, NAME)));                              \
    break;

/* General registers by their number in instructions. */
static __always_inline u64 argument(struct pt_regs *regs, u64 cookie, u32 index)
{
  u64 value = 0;
  switch ((cookie >> (8 + 8 * index)) & 0xff) {
    READ_REGISTER(0, ax)
    READ_REGISTER(1, cx)
    READ_REGISTER(2, dx)
    READ_REGISTER(3, bx)
    READ_REGISTER(5, bp)
    READ_REGISTER(6, si)
    READ_REGISTER(7, di)
    READ_REGISTER(8, r8)
    READ_REGISTER(9, r9)
    READ_REGISTER(10, r10)
    READ_REGISTER(11, r11)
    READ_REGISTER(12, r12)
    READ_REGISTER(13, r13)
    READ_REGISTER(14, r14)
    READ_REGISTER(15, r15)
  }
  return value;
}

static __noinline struct kt_connection *tls_connection(struct kt_key *key, u8 fresh)
{
  if (!key)
    return NULL;
  struct kt_connection *c = bpf_map_lookup_elem(&tls, key);
  if (c)
    return c;
  struct kt_connection new = {};
  new.number = new_number();
  new.source = KT_SOURCE_TLS;
  new.protocol = KT_PROTOCOL_TCP;
  new.first = 1;
  new.fresh = fresh;
  describe_process(&new);
  bpf_map_update_elem(&tls, key, &new, BPF_NOEXIST);
  emit_notice(KT_EVENT_OPEN, KT_SOURCE_TLS, key, &new, 0);
  return bpf_map_lookup_elem(&tls, key);
}

/* SSL_free lets go of one reference; the object ends with its last one. */
static __always_inline void count_reference(struct kt_key *key, u8 role)
{
  if (role == ROLE_UP_REF) {
    struct kt_connection *c = tls_connection(key, 1);
    if (c)
      __sync_fetch_and_add(&c->references, 1);
    return;
  }
  struct kt_connection *c = bpf_map_lookup_elem(&tls, key);
  if (c && c->references > 0)
    __sync_fetch_and_add(&c->references, -1);
  else
    close_tls(key, 0);
}

static __always_inline u8 way_of(u8 role)
{
  return role >= ROLE_WRITE && role <= ROLE_WRITE_INTERNAL ? KT_EGRESS : KT_INGRESS;
}

static __always_inline void begin_call(struct tls_call *call, struct pt_regs *regs, u64 cookie, u8 role, u8 way)
{
  call->depth = 1;
  call->stack = regs->sp;
  call->role = role;
  call->way = way;
  if (role >= ROLE_HANDSHAKE)
    return;
  call->buffer = argument(regs, cookie, 1);
  call->done = argument(regs, cookie, 3);
  if (way == KT_EGRESS)
    call->ns = bpf_ktime_get_ns();
}

SEC("uprobe")
int tls_enter(struct pt_regs *regs)
{
  u32 tgid = bpf_get_current_pid_tgid() >> 32;
  if (!is_target(tgid))
    return 0;
  u64 cookie = bpf_get_attach_cookie(regs);
  u8 role = cookie & 0xff;
  u64 ssl = argument(regs, cookie, 0);
  struct kt_key key = { .object = ssl, .tgid = tgid };
  if (role == ROLE_FREE || role == ROLE_UP_REF) {
    count_reference(&key, role);
    return 0;
  }
  struct thread *t = this_thread();
  if (!t) {
    count_loss(KT_LOSS_NO_MEMORY, 0);
    return 0;
  }
  if (role == ROLE_CLEAR) {
    /* A handshake clears its own object first: only the application's call ends a connection. */
    if (!t->outer.depth || t->ssl != ssl || regs->sp >= t->outer.stack)
      close_tls(&key, 0);
    return 0;
  }
  if (role >= ROLE_SET_FD && role <= ROLE_SET_WFD) {
    struct end end;
    struct kt_connection *c = tls_connection(&key, 1);
    s32 descriptor = argument(regs, cookie, 1);
    if (c && socket_of(descriptor, &end))
      bind_tls(&key, &end, descriptor);
    return 0;
  }
  /* A frame below the remembered one is still open; one above it means that its return was never seen. */
  if (t->outer.depth && regs->sp < t->outer.stack) {
    struct tls_call *inner = &t->inner;
    u8 way = way_of(role);
    if (inner->depth && regs->sp < inner->stack)
      inner->depth++;
    else if (role < ROLE_HANDSHAKE && ssl == t->ssl && way != t->outer.way)
      begin_call(inner, regs, cookie, role, way);
    else
      t->outer.depth++;
    return 0;
  }
  struct kt_connection *c = tls_connection(&key, role == ROLE_HANDSHAKE);
  t->grown_count = 0;
  t->inner.depth = 0;
  t->ssl = ssl;
  t->bound = c && c->socket;
  t->tls_descriptor = c ? c->descriptor : -1;
  begin_call(&t->outer, regs, cookie, role, way_of(role));
  return 0;
}

/* Records that the call put into memory BIOs: the socket write that starts with one of them names the socket. */
static __noinline int remember_grown(struct thread *t, u32 tgid)
{
  if (!t)
    return 0;
  for (u32 i = 0; i < GROWN_MAX; i++) {
    if (i >= t->grown_count)
      break;
    struct buffer buffer = {};
    if (bpf_probe_read_user(&buffer, sizeof(buffer), (void *)t->grown[i]) || buffer.length < t->grown_at[i])
      continue;
    u64 hash = record_hash(buffer.data + t->grown_at[i], buffer.length - t->grown_at[i], tgid);
    u64 ssl = t->ssl;
    if (hash)
      bpf_map_update_elem(&ciphertext, &hash, &ssl, BPF_ANY);
  }
  t->grown_count = 0;
  return 0;
}

SEC("uretprobe")
int tls_return(struct pt_regs *regs)
{
  u32 tgid = bpf_get_current_pid_tgid() >> 32;
  if (!is_target(tgid))
    return 0;
  struct thread *t = this_thread();
  if (!t || !t->outer.depth)
    return 0;
  struct tls_call *call = &t->outer;
  /* Whoever is called from inside returns below the outer call's frame. */
  if (t->inner.depth && regs->sp < t->outer.stack)
    call = &t->inner;
  if (--call->depth)
    return 0;
  if (call == &t->outer && t->grown_count)
    remember_grown(t, tgid);
  u8 role = call->role;
  if (role >= ROLE_HANDSHAKE)
    return 0;
  /* An int: the upper half of the register is undefined. */
  s32 result = (s32)regs->ax;
  if (result <= 0)
    return 0;
  u64 size = result;
  if (role != ROLE_READ && role != ROLE_WRITE) {
    size = 0;
    if (bpf_probe_read_user(&size, sizeof(size), (void *)call->done)) {
      count_loss(KT_LOSS_FAULT, 0);
      return 0;
    }
  }
  if (size == 0)
    return 0;
  struct kt_key key = { .object = t->ssl, .tgid = tgid };
  struct kt_connection *c = tls_connection(&key, 0);
  if (!c) {
    count_loss(KT_LOSS_TABLE_FULL, size);
    return 0;
  }
  count_seen(KT_SEEN_TLS, size);
  if (!c->socket && !c->told) {
    c->told = 1;
    emit_notice(KT_EVENT_UNBOUND, KT_SOURCE_TLS, &key, c, 0);
  }
  struct run run;
  start_run(&run, &key, c, call->way, size, call->way == KT_EGRESS ? call->ns : bpf_ktime_get_ns());
  run.address = call->buffer;
  emit_run(&run);
  return 0;
}

/* A memory BIO grows by what is written into it, just before. Its bytes are looked at when the TLS call returns. */
SEC("uprobe")
int buffer_grow(struct pt_regs *regs)
{
  struct thread *t = this_thread();
  if (!t || !t->outer.depth || t->bound)
    return 0;
  u64 address = argument(regs, bpf_get_attach_cookie(regs), 0);
  struct buffer buffer = {};
  if (bpf_probe_read_user(&buffer, sizeof(buffer), (void *)address))
    return 0;
  u32 count = t->grown_count;
#pragma unroll
  for (u32 i = 0; i < GROWN_MAX; i++) {
    if (i < count && t->grown[i] == address)
      return 0;
  }
  if (count >= GROWN_MAX)
    return 0;
  t->grown[count] = address;
  t->grown_at[count] = buffer.length;
  t->grown_count = count + 1;
  return 0;
}

/* Records that an SSL* without a socket writes into a BIO of any kind. */
SEC("uprobe")
int bio_write(struct pt_regs *regs)
{
  struct thread *t = this_thread();
  if (!t || !t->outer.depth || t->bound)
    return 0;
  u64 cookie = bpf_get_attach_cookie(regs);
  u32 tgid = bpf_get_current_pid_tgid() >> 32;
  u64 hash = record_hash(argument(regs, cookie, 1), (u32)argument(regs, cookie, 2), tgid);
  u64 ssl = t->ssl;
  if (hash)
    bpf_map_update_elem(&ciphertext, &hash, &ssl, BPF_ANY);
  return 0;
}

#endif
