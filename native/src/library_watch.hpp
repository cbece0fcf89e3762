// Finds TLS libraries and has them hooked: at start, when processes exec or map code, and now and then. A thread of its
// own, so that looking at processes never holds up the ring.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "programs.hpp"

namespace klartext {

// One file with TLS in it, for the coverage report.
struct LibraryState {
  std::string path, kind, version, build_id;
  bool hooked = false;
  std::string reason; // why not, or what could not be probed
  std::string detail; // probed functions and the cost class of each
  std::vector<ProcessInfo> processes;
};

class LibraryWatch {
 public:
  // A file that nobody maps for `retire_ns` loses its probes, unless it is one that short-lived programs come back to.
  LibraryWatch(Programs &programs, PlacementMode mode, uint64_t retire_ns);
  ~LibraryWatch();

  void start();
  void stop();
  // Any thread: this process has new code.
  void look_at(uint32_t pid);
  // Any thread: TLS objects without a socket were seen in this process; BIO_write of its libcrypto gets a probe.
  void arm_memory_bios(uint32_t pid);
  std::vector<LibraryState> states() const;
  // How often single processes were looked at.
  uint64_t looks() const { return looks_; }

 private:
  // A process with new code.
  struct Look {
    uint64_t first_event_ns = 0; // since it was looked at, 0 = none
    uint64_t last_event_ns = 0;
    uint64_t looked_ns = 0;
    uint64_t pause_ns = 0; // after the last look
    uint64_t due_ns() const;
  };
  // A file where short-lived programs will load it from.
  struct WellKnown {
    std::string path;
    FileIdentity identity;
  };

  void run();
  void take(const ScanResult &result);
  void retire(const std::vector<uint64_t> &ids);
  bool is_well_known(uint64_t id) const;
  void hook(uint64_t id, const std::string &attach_path, const std::string &path, const std::string &kind, const ProbePlan &plan);
  void hook_well_known();
  void hook_file(const char *path, const char *kind);
  void check_well_known();
  void arm();

  Programs &programs_;
  PlacementMode mode_;
  Discovery discovery_;
  std::thread thread_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::unordered_map<uint32_t, Look> looked_for_; // by pid
  std::unordered_set<uint32_t> to_arm_;
  std::map<FileIdentity, uint64_t> by_file_;  // to id; of files that are mapped or well known
  std::map<uint64_t, WellKnown> well_known_;  // by id
  std::map<uint64_t, LibraryState> states_;   // by id
  std::unordered_set<uint64_t> armed_;
  std::unordered_map<const MappedObject *, uint64_t> ids_;
  uint64_t next_id_ = 1;
  std::atomic<uint64_t> looks_{0};
};

} // namespace klartext
