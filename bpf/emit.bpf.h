/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* Functions without `static` are verified once, by themselves: with their callers together they exceed the verifier's budget. */
/* Bytes from user memory into the ring. Positions were advanced before, so that whatever fails here is a visible jump. */
#ifndef KLARTEXT_EMIT_H
#define KLARTEXT_EMIT_H

/* A run of bytes of one connection. Scalars only: it lives on the stack and goes through bpf_loop. */
struct run {
  struct kt_key key;
  u64 number;
  u64 position;
  u64 time_ns;
  u64 address;
  u64 left;
  u32 flags;
  u8 source;
  u8 way;
  u8 pad[2];
};

/*
 * Whether a record of so many bytes wakes the reader: the ones that fill the ring beyond a mark, and, since several
 * processors may fill it at once, the next few behind them. Not all: waking costs more than a record.
 */
static __always_inline u64 wake_flags(u64 size)
{
  u64 waiting = bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA);
  return waiting >= settings.wake_bytes && waiting - settings.wake_bytes < size + KT_CHUNK_BYTES_MAX
           ? BPF_RB_FORCE_WAKEUP
           : BPF_RB_NO_WAKEUP;
}

static __always_inline void fill_event(struct kt_event *event, const struct run *run, u32 length, u32 captured)
{
  event->kind = KT_EVENT_SEGMENT;
  event->source = run->source;
  event->way = run->way;
  event->carrier = 0;
  event->flags = run->flags;
  event->key = run->key;
  event->number = run->number;
  event->position = run->position;
  event->time_ns = run->time_ns;
  event->length = length;
  event->captured = captured;
}

/* The ring takes sizes that are known when the program is verified: one function per class of size. */
#define EMIT_CLASS(SIZE)                                                                                               \
  __noinline int emit_##SIZE(struct run *run, u32 size)                                                                \
  {                                                                                                                    \
    if (!run)                                                                                                          \
      return 0;                                                                                                        \
    struct {                                                                                                           \
      struct kt_event event;                                                                                           \
      u8 payload[SIZE];                                                                                                \
    } *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);                                                        \
    if (!record) {                                                                                                     \
      count_loss(KT_LOSS_RING_FULL, size);                                                                             \
      return 0;                                                                                                        \
    }                                                                                                                  \
    fill_event(&record->event, run, size, size);                                                                       \
    /* The verifier wants the bound in the line before the use. */                                                     \
    u32 bounded = size;                                                                                                \
    if (bounded > SIZE)                                                                                                \
      bounded = SIZE;                                                                                                  \
    if (bpf_probe_read_user(record->payload, bounded, (void *)run->address)) {                                         \
      /* Never faults pages in: a page that is not resident leaves a gap, not zeros. */                                \
      record->event.captured = 0;                                                                                      \
      record->event.flags |= KT_FAULT | KT_TRUNCATED;                                                                  \
      count_loss(KT_LOSS_FAULT, size);                                                                                 \
    }                                                                                                                  \
    bpf_ringbuf_submit(record, wake_flags(sizeof(*record)));                                                           \
    return 0;                                                                                                          \
  }

EMIT_CLASS(128)
EMIT_CLASS(256)
EMIT_CLASS(384)
EMIT_CLASS(512)
EMIT_CLASS(768)
EMIT_CLASS(1024)
EMIT_CLASS(2048)
EMIT_CLASS(4096)
EMIT_CLASS(8192)
EMIT_CLASS(16384)
EMIT_CLASS(32768)
EMIT_CLASS(65536)

static long emit_chunk(u32 index, struct run *run)
{
  u64 size = run->left;
  if (size == 0)
    return 1;
  if (size > KT_CHUNK_BYTES_MAX)
    size = KT_CHUNK_BYTES_MAX;
  if (size <= 512) {
    if (size <= 128)
      emit_128(run, size);
    else if (size <= 256)
      emit_256(run, size);
    else if (size <= 384)
      emit_384(run, size);
    else
      emit_512(run, size);
  } else if (size <= 4096) {
    if (size <= 768)
      emit_768(run, size);
    else if (size <= 1024)
      emit_1024(run, size);
    else if (size <= 2048)
      emit_2048(run, size);
    else
      emit_4096(run, size);
  } else if (size <= 8192)
    emit_8192(run, size);
  else if (size <= 16384)
    emit_16384(run, size);
  else if (size <= 32768)
    emit_32768(run, size);
  else
    emit_65536(run, size);
  run->flags &= ~KT_OPEN;
  run->address += size;
  run->position += size;
  run->left -= size;
  return run->left == 0;
}

/* Bytes that passed and were not copied. */
__noinline int emit_position(struct run *run, u64 size, u32 flags)
{
  if (!run || size == 0)
    return 0;
  struct kt_event *event = bpf_ringbuf_reserve(&ring, sizeof(*event), 0);
  if (!event)
    return 0;
  fill_event(event, run, size > 0xffffffff ? 0xffffffff : size, 0);
  event->flags |= flags;
  bpf_ringbuf_submit(event, wake_flags(sizeof(*event)));
  return 0;
}

/* Copies `run->left` bytes at `run->address`; what exceeds the limit of a call passes as position only. */
__noinline int emit_run(struct run *run)
{
  if (!run)
    return 0;
  /* bpf_loop takes a context on this function's own stack. */
  struct run rest = *run;
  u64 beyond = 0;
  if (rest.left > settings.call_bytes_max) {
    beyond = rest.left - settings.call_bytes_max;
    rest.left = settings.call_bytes_max;
  }
  if (rest.left <= KT_CHUNK_BYTES_MAX)
    emit_chunk(0, &rest);
  else
    bpf_loop(KT_CALL_BYTES_MAX / KT_CHUNK_BYTES_MAX + 1, emit_chunk, &rest, 0);
  if (beyond) {
    count_loss(KT_LOSS_TOO_LONG, beyond);
    emit_position(&rest, beyond, KT_TRUNCATED);
    rest.position += beyond;
  }
  *run = rest;
  return 0;
}

/* A notice carries the whole connection: its entry may be gone from the map before the addon reads the ring. */
static __always_inline void emit_notice(u8 kind, u8 source, const struct kt_key *key, const struct kt_connection *c,
                                        u32 flags)
{
  struct {
    struct kt_event event;
    struct kt_connection connection;
  } *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
  if (!record) {
    count_loss(KT_LOSS_RING_FULL, 0);
    return;
  }
  struct kt_event *event = &record->event;
  event->kind = kind;
  event->source = source;
  event->way = 0;
  event->carrier = 0;
  event->flags = flags;
  event->key = *key;
  event->number = 0;
  event->position = 0;
  event->time_ns = bpf_ktime_get_ns();
  event->length = 0;
  event->captured = 0;
  if (c) {
    event->carrier = c->ssl != 0;
    event->number = c->number;
    event->captured = sizeof(record->connection);
    record->connection = *c;
  }
  bpf_ringbuf_submit(record, wake_flags(sizeof(*record)));
}

/* Starts a run on a connection: advances the position first. */
static __always_inline void start_run(struct run *run, const struct kt_key *key, struct kt_connection *c, u8 way,
                                      u64 size, u64 time_ns)
{
  run->key = *key;
  run->number = c->number;
  run->position = __sync_fetch_and_add(&c->position[way & 1], size);
  run->time_ns = time_ns;
  run->left = size;
  run->source = c->source;
  run->way = way;
  run->flags = 0;
  run->pad[0] = 0;
  run->pad[1] = 0;
  run->address = 0;
  if (c->first) {
    c->first = 0;
    run->flags = c->fresh ? KT_OPEN : 0;
  }
  if (!c->fresh)
    run->flags |= KT_MIDSTREAM;
}

#endif
