// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
/*
 * The least that a conventional TLS sniffer does, as bcc's sslsniff and eCapture do it: remember the buffer by thread at
 * entry, copy what the call returned into a ring at return. Knows no connection, no position, no socket.
 */
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define RECORD_BYTES 1024

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 10240);
  __type(key, __u32);
  __type(value, __u64);
} buffers_by_thread SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 16 << 20);
} ring SEC(".maps");

SEC("uprobe")
int enter(struct pt_regs *regs)
{
  __u32 thread = bpf_get_current_pid_tgid();
  __u64 buffer = PT_REGS_PARM2(regs);
  bpf_map_update_elem(&buffers_by_thread, &thread, &buffer, BPF_ANY);
  return 0;
}

struct record {
  __u64 time_ns;
  __u32 thread;
  __u32 length;
  char payload[RECORD_BYTES];
};

SEC("uretprobe")
int leave(struct pt_regs *regs)
{
  __u32 thread = bpf_get_current_pid_tgid();
  __u64 *buffer = bpf_map_lookup_elem(&buffers_by_thread, &thread);
  int result = PT_REGS_RC(regs);
  if (!buffer)
    return 0;
  __u64 address = *buffer;
  bpf_map_delete_elem(&buffers_by_thread, &thread);
  if (result <= 0)
    return 0;
  struct record *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
  if (!record)
    return 0;
  record->time_ns = bpf_ktime_get_ns();
  record->thread = thread;
  record->length = result;
  bpf_probe_read_user(record->payload, result < RECORD_BYTES ? result : RECORD_BYTES, (void *)address);
  /* The reader polls: a wake-up a record would cost more than all the rest. */
  bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
  return 0;
}
