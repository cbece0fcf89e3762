/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* The few kernel types that are read, with the members that are read; CO-RE finds their places on the running kernel. */
#ifndef KLARTEXT_KERNEL_H
#define KLARTEXT_KERNEL_H

#define __VMLINUX_H__

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed char s8;
typedef short s16;
typedef int s32;
typedef long long s64;
typedef u8 __u8;
typedef u16 __u16;
typedef u32 __u32;
typedef u64 __u64;
typedef s8 __s8;
typedef s16 __s16;
typedef s32 __s32;
typedef s64 __s64;
typedef u16 __be16;
typedef u32 __be32;
typedef u32 __wsum;

enum {
  BPF_MAP_TYPE_HASH = 1,
  BPF_MAP_TYPE_ARRAY = 2,
  BPF_MAP_TYPE_PERCPU_ARRAY = 6,
  BPF_MAP_TYPE_LRU_HASH = 9,
  BPF_MAP_TYPE_RINGBUF = 27,
  BPF_MAP_TYPE_TASK_STORAGE = 29,
};
typedef _Bool bool;
enum { false = 0, true = 1 };

enum { BPF_ANY = 0, BPF_NOEXIST = 1 };
enum { BPF_F_NO_PREALLOC = 1 };
enum { BPF_LOCAL_STORAGE_GET_F_CREATE = 1 };
enum { BPF_RB_NO_WAKEUP = 1, BPF_RB_FORCE_WAKEUP = 2 };
enum { BPF_RB_AVAIL_DATA = 0 };

/* Part of the user-space ABI of x86-64: never moves. */
struct pt_regs {
  unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct inode {
  u16 i_mode;
  unsigned long i_ino;
};
struct file {
  struct inode *f_inode;
  void *private_data;
};
struct fdtable {
  unsigned int max_fds;
  struct file **fd;
};
struct files_struct {
  struct fdtable *fdt;
};
struct kernfs_node {
  const char *name;
  u64 id;
  struct kernfs_node *parent;
};
/* Linux 6.15 (633488947ef6) gave it another name. */
struct kernfs_node___renamed {
  struct kernfs_node *__parent;
};
struct cgroup {
  struct kernfs_node *kn;
  int level;
};
struct cgroup_subsys_state {
  struct cgroup *cgroup;
};
struct css_set {
  struct cgroup_subsys_state *subsys[1];
  struct cgroup *dfl_cgrp;
};
struct task_struct {
  int tgid;
  struct task_struct *group_leader;
  struct files_struct *files;
  struct css_set *cgroups;
  u64 start_boottime;
};
struct in6_addr {
  union {
    u8 u6_addr8[16];
  } in6_u;
};
struct sock_common {
  u32 skc_daddr;
  u32 skc_rcv_saddr;
  u16 skc_dport;
  u16 skc_num;
  unsigned short skc_family;
  volatile unsigned char skc_state;
  struct in6_addr skc_v6_daddr;
  struct in6_addr skc_v6_rcv_saddr;
};
struct sock;
struct socket {
  struct sock *sk;
};
struct sock {
  struct sock_common __sk_common;
  u16 sk_protocol;
  struct socket *sk_socket;
};

#pragma clang attribute pop

/* Their values differ from kernel to kernel. */
enum cgroup_subsys_id { memory_cgrp_id = 1, pids_cgrp_id = 2, cpu_cgrp_id = 3 };

/* User-space ABI of the socket calls. */
struct iovec_user {
  u64 base;
  u64 size;
};
struct msghdr_user {
  u64 name;
  u32 name_size;
  u32 pad0;
  u64 vectors;
  u64 vector_count;
  u64 control;
  u64 control_size;
  u32 flags;
  u32 pad1;
};
struct mmsghdr_user {
  struct msghdr_user header;
  u32 size;
  u32 pad;
};

/* Code segment of 64-bit processes on x86. */
#define USER_CODE_64 0x33

#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT 2
#define TCP_SYN_RECV 3
#define TCP_CLOSE 7
#define TCP_LISTEN 10

#define AF_INET 2
#define AF_INET6 10
#define S_IFMT 00170000
#define S_IFSOCK 0140000
#define MSG_OOB 1
#define MSG_PEEK 2
#define MSG_TRUNC 0x20
#define MSG_ERRQUEUE 0x2000

#endif
