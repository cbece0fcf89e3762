/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* Which cgroup a process is in, by name: container runtimes write container and pod into it. */
#ifndef KLARTEXT_CGROUP_H
#define KLARTEXT_CGROUP_H

static __always_inline struct kernfs_node *parent_of(struct kernfs_node *node)
{
  struct kernfs_node___renamed *renamed = (void *)node;
  if (bpf_core_field_exists(renamed->__parent))
    return BPF_CORE_READ(renamed, __parent);
  return BPF_CORE_READ(node, parent);
}

/* Nodes of all hierarchies number their directories from 1: the hierarchy goes into the upper byte. */
#define HIERARCHY_SHIFT 56

static __always_inline struct kernfs_node *node_below_root(struct cgroup *cgroup)
{
  return cgroup && BPF_CORE_READ(cgroup, level) > 0 ? BPF_CORE_READ(cgroup, kn) : NULL;
}

static __always_inline struct kernfs_node *node_of_controller(struct css_set *set, u64 controller)
{
  void *states = (void *)set + bpf_core_field_offset(set->subsys);
  struct cgroup_subsys_state *state = NULL;
  if (bpf_probe_read_kernel(&state, sizeof(state), states + controller * sizeof(state)) || !state)
    return NULL;
  return node_below_root(BPF_CORE_READ(state, cgroup));
}

/*
 * The directory of this process: in cgroup v2, or, where that is not used, in a hierarchy of cgroup v1 in which runtimes
 * make a directory for every container.
 */
static __always_inline struct kernfs_node *own_node(u64 *hierarchy)
{
  struct task_struct *task = (void *)bpf_get_current_task();
  struct css_set *set = BPF_CORE_READ(task, cgroups);
  struct kernfs_node *node = node_below_root(BPF_CORE_READ(set, dfl_cgrp));
  *hierarchy = 0;
  if (!node && bpf_core_enum_value_exists(enum cgroup_subsys_id, memory_cgrp_id)) {
    node = node_of_controller(set, bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id));
    *hierarchy = 1;
  }
  if (!node && bpf_core_enum_value_exists(enum cgroup_subsys_id, pids_cgrp_id)) {
    node = node_of_controller(set, bpf_core_enum_value(enum cgroup_subsys_id, pids_cgrp_id));
    *hierarchy = 2;
  }
  if (!node && bpf_core_enum_value_exists(enum cgroup_subsys_id, cpu_cgrp_id)) {
    node = node_of_controller(set, bpf_core_enum_value(enum cgroup_subsys_id, cpu_cgrp_id));
    *hierarchy = 3;
  }
  return node;
}

/*
 * Names the cgroup of this process, 0 in the root. Its names go into the ring the first time, here, since the process may
 * be gone or elsewhere, and its cgroup removed, when user space reads of it.
 */
static __noinline u64 tell_cgroup(void)
{
  u64 hierarchy;
  struct kernfs_node *node = own_node(&hierarchy);
  if (!node)
    return 0;
  u64 cgroup = BPF_CORE_READ(node, id) | hierarchy << HIERARCHY_SHIFT;
  u8 one = 1;
  if (bpf_map_lookup_elem(&told_cgroups, &cgroup) || bpf_map_update_elem(&told_cgroups, &cgroup, &one, BPF_NOEXIST))
    return cgroup;
  struct {
    struct kt_event event;
    struct kt_cgroup cgroup;
  } *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
  if (!record) {
    count_loss(KT_LOSS_RING_FULL, 0);
    bpf_map_delete_elem(&told_cgroups, &cgroup);
    return cgroup;
  }
  __builtin_memset(&record->event, 0, sizeof(record->event));
  record->event.kind = KT_EVENT_CGROUP;
  record->event.number = cgroup;
  record->event.captured = sizeof(record->cgroup);
#pragma unroll
  for (int i = 0; i < KT_CGROUP_LEVELS; i++) {
    char *name = record->cgroup.names[i];
    name[0] = 0;
    struct kernfs_node *parent = node ? parent_of(node) : NULL;
    /* The root of the hierarchy has no name. */
    if (parent)
      bpf_probe_read_kernel_str(name, KT_CGROUP_NAME, BPF_CORE_READ(node, name));
    node = parent;
  }
  bpf_ringbuf_submit(record, wake_flags(sizeof(*record)));
  return cgroup;
}

#endif
