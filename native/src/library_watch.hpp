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
  LibraryWatch(Programs &programs, PlacementMode mode);
  ~LibraryWatch();

  void start();
  void stop();
  // Any thread: this process has new code.
  void look_at(uint32_t pid);
  // Any thread: TLS objects without a socket were seen in this process; BIO_write of its libcrypto gets a probe.
  void arm_memory_bios(uint32_t pid);
  std::vector<LibraryState> states() const;

 private:
  void run();
  void take(const ScanResult &result);
  void hook(uint64_t id, const std::string &attach_path, const std::string &path, const std::string &kind, const ProbePlan &plan);
  void hook_well_known();
  void hook_file(const char *path, const char *kind);
  void arm();

  Programs &programs_;
  PlacementMode mode_;
  Discovery discovery_;
  std::thread thread_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  bool first_scan_done_ = false;
  std::map<uint32_t, uint64_t> looked_for_; // pid -> time of the last event
  std::unordered_set<uint32_t> to_arm_;
  std::map<std::pair<uint64_t, uint64_t>, uint64_t> by_inode_; // (device, inode) -> id
  std::map<uint64_t, LibraryState> states_;                    // by id
  std::unordered_set<uint64_t> armed_;
  std::unordered_map<const MappedObject *, uint64_t> ids_;
  uint64_t next_id_ = 1;
};

} // namespace klartext
