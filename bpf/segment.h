/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * What crosses from the kernel side to the addon: the only header the two share.
 * Fixed-width types and explicit padding; both sides assert sizes and offsets.
 */
#ifndef KLARTEXT_SEGMENT_H
#define KLARTEXT_SEGMENT_H

#ifndef __bpf__
#include <stdint.h>
typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t s32;
typedef int64_t s64;
#endif

/* Bits of SegmentFlag in services/core/segment.ts; a test holds the two together. */
#define KT_OPEN (1u << 0)
#define KT_CLOSE (1u << 1)
#define KT_GAP_BEFORE (1u << 2)
#define KT_TRUNCATED (1u << 3)
#define KT_MIDSTREAM (1u << 4)
#define KT_MUTED (1u << 5)
#define KT_BIND (1u << 6)
#define KT_RACY (1u << 7)
#define KT_ROLE_GUESSED (1u << 8)
#define KT_RESET (1u << 9)
#define KT_FAULT (1u << 10)

/* Ways of the bytes as the process sees them; client and server are told apart in user space. */
#define KT_INGRESS 0
#define KT_EGRESS 1

#define KT_SOURCE_SOCKET 0
#define KT_SOURCE_TLS 1

#define KT_ROLE_UNKNOWN 0
#define KT_ROLE_CLIENT 1
#define KT_ROLE_SERVER 2

#define KT_PROTOCOL_TCP 6
#define KT_PROTOCOL_UDP 17

/* Bytes copied of one call; what lies beyond passes as position only. */
#define KT_CALL_BYTES_MAX (1u << 20)
/* Bytes in one record of the ring. */
#define KT_CHUNK_BYTES_MAX 65536u
/* Of a stream that starts with a TLS record only the handshake is copied, per direction. */
#define KT_CIPHER_BYTES_MAX 16384u

/* Names a connection's entry in its map: `tls` by process and SSL*, `sockets` by socket (and peer, for UDP). */
struct kt_key {
  u64 object; /* SSL* or struct sock* */
  u32 tgid;   /* TLS only */
  u32 peer;   /* unconnected UDP only: hash of the other end */
};

/* A connection; lives in a map, written by BPF, read by the addon when it first hears of the connection and on BIND. */
struct kt_connection {
  u64 number;           /* unique while the capturer runs */
  u64 process_start_ns; /* boot clock */
  u64 cgroup_id;        /* of cgroup v2 */
  u64 cgroup;           /* names what a KT_EVENT_CGROUP told of, 0 = none */
  u64 socket;           /* struct sock*, 0 while a TLS object is not bound */
  u64 inode;            /* sockets: of the socket, tells one life of a struct sock from the next */
  u64 ssl;              /* sockets: the SSL* whose ciphertext this socket carries, 0 = none */
  u64 position[2];      /* next byte, by way; advanced before anything can fail */
  u32 tgid;
  u32 ssl_tgid;
  u8 source;
  u8 role;
  u8 protocol;
  u8 address_size; /* 0 while unbound, 4 or 16 */
  u8 fresh;        /* the connection's beginning was seen */
  u8 cipher;       /* sockets: the stream starts with a TLS record, or is bound to an SSL* */
  u8 told;         /* TLS: user space was asked to arm BIO_write */
  u8 first;        /* the next segment is the first one */
  u16 local_port;
  u16 peer_port;
  u8 reset;        /* sockets: it ended without FIN */
  u8 pad[3];
  u32 references;  /* TLS: held beside the first one */
  s32 descriptor;  /* TLS: of its socket, as it was when the two were bound */
  u8 local[16];
  u8 peer[16];
  char comm[16];
};

#define KT_EVENT_SEGMENT 1
#define KT_EVENT_BIND 2
#define KT_EVENT_CLOSE 3
/* TLS data passed on an object that is bound to no socket: it may use memory BIOs. */
#define KT_EVENT_UNBOUND 4
/* A process was executed or mapped code: look for libraries. */
#define KT_EVENT_EXEC 5
#define KT_EVENT_OPEN 6
/* A cgroup that connections are in: `number` is what they call it, a kt_cgroup follows. */
#define KT_EVENT_CGROUP 7

/* Head of every record in the ring. `captured` payload bytes follow; for OPEN, BIND and CLOSE they are the kt_connection. */
struct kt_event {
  u8 kind;
  u8 source;
  u8 way;
  u8 carrier; /* CLOSE: the socket carried the ciphertext of a TLS object */
  u32 flags;
  struct kt_key key;
  u64 number; /* of the connection */
  u64 position;
  u64 time_ns; /* monotonic clock */
  u32 length;
  u32 captured;
};

/* Below the outermost levels of a node are pod, container, and what the container makes of its own. */
#define KT_CGROUP_LEVELS 8
/* The longest names of container runtimes have 150 bytes. */
#define KT_CGROUP_NAME 192

struct kt_cgroup {
  /* The cgroup's own, then those of its parents; empty beyond the outermost. */
  char names[KT_CGROUP_LEVELS][KT_CGROUP_NAME];
};

/* Why bytes were not copied; index into the map `losses`. */
#define KT_LOSS_RING_FULL 0
#define KT_LOSS_FAULT 1
#define KT_LOSS_TOO_LONG 2
#define KT_LOSS_TABLE_FULL 3
#define KT_LOSS_VECTORS 4
#define KT_LOSS_NO_MEMORY 5
#define KT_LOSS_NOT_COPIED 6 /* sendfile, splice, MSG_TRUNC: the bytes never pass user memory */
#define KT_LOSS_MUTED 7      /* ciphertext of connections that are captured as plaintext, or encrypted ones */
#define KT_LOSS_REPLACED 8   /* the descriptor led to another socket when the call returned */
#define KT_LOSS_COUNT 9

struct kt_loss {
  u64 count;
  u64 bytes;
};

#define KT_SEEN_TLS 0
#define KT_SEEN_SOCKET 1
#define KT_SEEN_COUNT 2

/* Settings, read-only once the programs are loaded. */
struct kt_settings {
  u32 self_tgid;
  u8 tls;
  u8 plain;
  u8 filter_pids; /* only processes in the map `targets` */
  u8 pad;
  u32 wake_bytes; /* wake the reader when so much waits in the ring */
  u32 call_bytes_max;
};

#if defined(__cplusplus)
static_assert(sizeof(kt_key) == 16 && sizeof(kt_event) == 56 && sizeof(kt_connection) == 152 && sizeof(kt_settings) == 16);
#else
_Static_assert(sizeof(struct kt_key) == 16, "kt_key");
_Static_assert(sizeof(struct kt_event) == 56, "kt_event");
_Static_assert(sizeof(struct kt_connection) == 152, "kt_connection");
_Static_assert(sizeof(struct kt_settings) == 16, "kt_settings");
#endif

#endif
