// Places in one file at which a BPF program runs. They are there as long as the object is.
#pragma once

#include <bpf/libbpf.h>

#include <cstdint>
#include <string>
#include <vector>

namespace klartext {

struct ProbePlace {
  uint64_t offset;
  uint64_t cookie; // what bpf_get_attach_cookie() answers there
};

class ProbeLink {
 public:
  // One link for many places (Linux 6.6 and newer). It needs CAP_BPF and CAP_PERFMON only, while the older way, through a
  // perf event for each place, needs CAP_SYS_ADMIN as well from Linux 6.16 on. A program is loaded for one way or the other.
  static bool kernel_has_multi();
  static void prepare_for_multi(bpf_program *program);

  // All places or none: then errno says why, and valid() is false.
  static ProbeLink multi(bpf_program *program, const std::string &path, const std::vector<ProbePlace> &places, bool at_return);
  static ProbeLink perf(bpf_program *program, const std::string &path, const ProbePlace &place, bool at_return);

  explicit ProbeLink(bpf_link *link) : fd_(-1), link_(link) {}
  ProbeLink(ProbeLink &&other) noexcept;
  ProbeLink &operator=(ProbeLink &&other) noexcept;
  ProbeLink(const ProbeLink &) = delete;
  ProbeLink &operator=(const ProbeLink &) = delete;
  // Waits for a grace period of the kernel, 0.1 s.
  ~ProbeLink();

  bool valid() const { return fd_ >= 0 || link_ != nullptr; }

 private:
  ProbeLink(int fd, bpf_link *link) : fd_(fd), link_(link) {}

  int fd_;
  bpf_link *link_;
};

} // namespace klartext
