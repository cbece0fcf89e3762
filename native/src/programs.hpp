// The BPF programs: loaded, their probes placed, their maps read. Errors come back as one line.
#pragma once

#include <bpf/libbpf.h>

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "discovery.hpp"
#include "probe_link.hpp"
#include "segment.h"

namespace klartext {

struct ProgramOptions {
  std::string object_path; // capture.bpf.o
  uint32_t ring_bytes = 16 << 20; // power of two
  uint32_t call_bytes_max = KT_CALL_BYTES_MAX;
  bool tls = true;
  bool plain = true;
  std::vector<uint32_t> pids; // empty: all processes
};

struct LossCounts {
  std::array<kt_loss, KT_LOSS_COUNT> by_reason{};
  std::array<kt_loss, KT_SEEN_COUNT> seen{};
};

class Programs {
 public:
  Programs() = default;
  Programs(const Programs &) = delete;
  Programs &operator=(const Programs &) = delete;
  ~Programs();

  // Loads everything and attaches what is not in a library. "" or what went wrong.
  std::string open(const ProgramOptions &options);
  // Probes of one file; `attach_path` must stay valid during the call only. Answers how many points could be attached.
  // Points of the role bio_write are left out unless asked for. Safe against detach() on another thread.
  size_t attach(uint64_t object, const ProbePlan &plan, const std::string &attach_path, bool bio_write, std::string &error);
  // Waits for the kernel, 0.1 s however many they are.
  void detach(const std::vector<uint64_t> &objects);
  // The programs do nothing from now on; what is in the ring stays. At once, while taking the probes away takes seconds.
  void pause();
  void detach_all();

  int ring_fd() const;
  size_t ring_bytes() const { return ring_bytes_; }
  // False where the entry is gone.
  bool find_connection(bool tls, const kt_key &key, kt_connection &into) const;
  void forget_connection(bool tls, const kt_key &key) const;
  void forget_cgroup(uint64_t cgroup) const;
  LossCounts counts() const;

 private:
  std::string attach_tracepoints(const ProgramOptions &options);
  // Answers the points at which the program runs now.
  std::vector<const ProbePoint *> place(const char *program_name, const std::string &path,
                                        const std::vector<const ProbePoint *> &points, bool at_return,
                                        std::vector<ProbeLink> &links, std::string &error) const;
  void seed_listening_ports();

  bpf_object *object_ = nullptr;
  size_t ring_bytes_ = 0;
  bool multi_ = false;
  std::vector<ProbeLink> links_;
  std::mutex probes_mutex_;
  std::map<uint64_t, std::vector<ProbeLink>> probes_;
};

} // namespace klartext
