/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
#ifndef KLARTEXT_MAPS_H
#define KLARTEXT_MAPS_H

const volatile struct kt_settings settings = {};

/* Set by the addon before it takes the probes away one by one: all of them fall silent together, so that no connection
 * ends with calls of which only one half was seen. */
volatile u32 paused;

/* Everything user space learns as it happens. Its size is set before load. Full: segments are lost and counted. */
struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 16 << 20);
} ring SEC(".maps");

/* TLS objects by process and SSL*. BPF adds, SSL_free and the addon's sweep of dead processes delete. When full the one
 * that was used longest ago goes: its further bytes start a new connection, marked mid-stream. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 65536);
  __type(key, struct kt_key);
  __type(value, struct kt_connection);
} tls SEC(".maps");

/* Sockets that carried bytes. BPF adds and, when the socket closes, deletes. Full: as above. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 65536);
  __type(key, struct kt_key);
  __type(value, struct kt_connection);
} sockets SEC(".maps");

/* Which end a socket is, from its handshake; the socket's end deletes. ROLE_USED: its first bytes were seen, so that what
 * comes after its entry in `sockets` was pushed out is no beginning. */
#define ROLE_USED 0x80
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 65536);
  __type(key, u64);
  __type(value, u8);
} roles SEC(".maps");

/* Local TCP ports that listen: filled by the addon at start, kept by socket states. Tells servers among old sockets. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 65536);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, u16);
  __type(value, u8);
} listening SEC(".maps");

/* First bytes of TLS records that an unbound SSL* wrote into a memory BIO, hashed with the process: the socket write that
 * starts with them names the socket. Short-lived; the oldest go. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 8192);
  __type(key, u64);
  __type(value, u64);
} ciphertext SEC(".maps");

/* Processes to capture when settings.filter_pids is set; the addon writes. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 65536);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, u32);
  __type(value, u8);
} targets SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, KT_LOSS_COUNT);
  __type(key, u32);
  __type(value, struct kt_loss);
} losses SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, KT_SEEN_COUNT);
  __type(key, u32);
  __type(value, struct kt_loss);
} seen SEC(".maps");

/* Cgroups whose names user space was told. BPF adds; the addon deletes what it does not know. Full: told again. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 16384);
  __type(key, u64);
  __type(value, u8);
} told_cgroups SEC(".maps");

/* Source of connection numbers. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, u32);
  __type(value, u64);
} next_number SEC(".maps");

#define CALL_NONE 0
#define CALL_BUFFER 1
#define CALL_VECTORS 2
#define CALL_MESSAGE 3
#define CALL_MESSAGES 4
#define CALL_POSITION 5

/* A call grows its own handshake buffer and its BIO's, rarely another. */
#define GROWN_MAX 4

/* A socket: where it lies, and the inode that it has for life. */
struct end {
  u64 socket;
  u64 inode;
};

/* A call of the TLS library that moves bytes or may. */
struct tls_call {
  u64 buffer;
  u64 done;
  u64 stack;
  u64 ns;
  u32 depth; /* 0 = none; with those that are open inside it */
  u8 role;
  u8 way;
  u8 pad[2];
};

/* What a thread is in the middle of. */
struct thread {
  u64 ssl;
  struct tls_call outer;
  /* What a callback of the outer call says the other way: programs write where a handshake that a read drives is done. */
  struct tls_call inner;
  s32 tls_descriptor;
  u8 bound;
  u8 grown_count;
  u8 pad[2];
  /* Buffers that grew inside the TLS call, and how long they were before: memory BIOs are among them. */
  u64 grown[GROWN_MAX];
  u64 grown_at[GROWN_MAX];
  /* Socket call. */
  struct end end;
  u64 address; /* buffer, vectors, message or messages */
  u64 name;    /* sockaddr of sendto and recvfrom */
  u64 call_ns;
  u64 count; /* vectors, or bytes of the buffer */
  s32 descriptor;
  u8 call;
  u8 call_way;
  u8 discards; /* MSG_TRUNC */
  u8 pad2;
};

/* Goes with its thread. */
struct {
  __uint(type, BPF_MAP_TYPE_TASK_STORAGE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, int);
  __type(value, struct thread);
} threads SEC(".maps");

static __always_inline void count_loss(u32 reason, u64 bytes)
{
  struct kt_loss *loss = bpf_map_lookup_elem(&losses, &reason);
  if (loss) {
    /* Atomic: a probe may interrupt another one on the same CPU. */
    __sync_fetch_and_add(&loss->count, 1);
    __sync_fetch_and_add(&loss->bytes, bytes);
  }
}

static __always_inline void count_seen(u32 what, u64 bytes)
{
  struct kt_loss *count = bpf_map_lookup_elem(&seen, &what);
  if (count) {
    __sync_fetch_and_add(&count->count, 1);
    __sync_fetch_and_add(&count->bytes, bytes);
  }
}

static __always_inline u64 new_number(void)
{
  u32 zero = 0;
  u64 *next = bpf_map_lookup_elem(&next_number, &zero);
  return next ? __sync_fetch_and_add(next, 1) + 1 : 0;
}

static __always_inline struct thread *this_thread(void)
{
  return bpf_task_storage_get(&threads, bpf_get_current_task_btf(), 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
}

static __always_inline bool is_target(u32 tgid)
{
  if (paused || tgid == settings.self_tgid)
    return false;
  return !settings.filter_pids || bpf_map_lookup_elem(&targets, &tgid);
}

#endif
