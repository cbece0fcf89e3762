// Which files on this node can be hooked: executable mappings of all processes, each file looked at once.
//
// One thread calls scan(); nothing here is shared between threads.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "placement.hpp"

namespace klartext {

struct ProcessInfo {
  int32_t pid = 0;
  uint64_t start_ns = 0;   // boot clock, at the kernel's tick resolution (10 ms)
  std::string comm;
  std::string container_id; // 64 hex digits, or empty on the host
};

// 64 hex digits of the container a cgroup file names (docker, containerd, CRI-O, kubepods with either cgroup driver).
std::string container_id_of_cgroup(std::string_view cgroup_file);

// One file that is mapped executable somewhere, and what can be done with it.
struct MappedObject {
  uint64_t device = 0;      // of the file that holds the bytes; under overlayfs the layer's, so that it is one per node
  uint64_t inode = 0;
  std::string path;         // as the process sees it
  std::string attach_path;  // /proc/self/fd/N; valid while this object lives, whatever becomes of the container
  std::string kind;         // libssl, libcrypto, executable, gnutls, nss, go, java
  ProbePlan plan;           // plan.points empty: not hookable, plan.reason says why
  std::vector<ProcessInfo> processes; // as of the last scan

  MappedObject() = default;
  MappedObject(const MappedObject &) = delete;
  MappedObject &operator=(const MappedObject &) = delete;
  ~MappedObject();
  int fd = -1;
};

struct ScanResult {
  std::vector<std::shared_ptr<MappedObject>> appeared; // first seen in this scan
  std::vector<std::shared_ptr<MappedObject>> vanished; // no process maps it any more since RETIRE_SCANS scans
  uint32_t processes = 0;
  uint64_t took_ns = 0;
};

class Discovery {
 public:
  explicit Discovery(PlacementMode mode, std::string proc = "/proc");
  ~Discovery();

  // Looks at all processes. Known files and processes whose mappings did not change cost little.
  ScanResult scan();
  // Looks at one process, after an exec or an executable mmap of it. Processes of objects that exist grow by it.
  ScanResult scan_process(int32_t pid);
  // All objects with at least one process, hookable or not.
  std::vector<std::shared_ptr<MappedObject>> objects() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

} // namespace klartext
