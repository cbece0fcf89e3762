// Which files on this node can be hooked: executable mappings of all processes, each file looked at once.
//
// One thread calls scan(); nothing here is shared between threads.
#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "placement.hpp"
#include "procfs.hpp"

namespace klartext {

// Tells a file from others, also from one that gets its inode number after it was deleted.
struct FileIdentity {
  // Overlayfs shows the layer's inode number but not its device; then device is 0, and the rest stands in for it.
  uint64_t device = 0, inode = 0;
  uint64_t size = 0;
  int64_t modified_ns = 0;
  auto operator<=>(const FileIdentity &) const = default;
};
bool identity_of(int fd, FileIdentity &identity);

// One file that is mapped executable somewhere, and what can be done with it. Files without TLS are not objects.
struct MappedObject {
  FileIdentity identity;   // of the inode that uprobes see: one object per node however many containers map it
  std::string path;        // as the process sees it
  std::string attach_path; // /proc/self/fd/N: valid in this process while this object lives, even if the file is gone
  std::string kind;        // libssl, libcrypto, executable, library, gnutls, nss, go, java
  ProbePlan plan;          // plan.points empty: not hookable, plan.reason says why
  std::vector<ProcessInfo> processes; // as of the last scan, by pid

  MappedObject() = default;
  MappedObject(const MappedObject &) = delete;
  MappedObject &operator=(const MappedObject &) = delete;
  ~MappedObject();

 private:
  friend class Discovery;
  int fd_ = -1;
  uint32_t mappings_ = 0; // entries of the file table that lead here
};

struct ScanResult {
  std::vector<std::shared_ptr<MappedObject>> appeared; // found in this scan
  std::vector<std::shared_ptr<MappedObject>> vanished; // unmapped everywhere for the retire time: detach and let go
  uint32_t processes = 0;      // looked at
  uint32_t processes_read = 0; // of those, mappings read because something had changed
  uint32_t files_opened = 0;
  uint64_t took_ns = 0;
};

class Discovery {
 public:
  // A file that nobody maps stays an object for `retire_ns`, since short processes (curl in a loop) come back to it. Not
  // for long, because its descriptor pins the container's mount.
  explicit Discovery(PlacementMode mode, std::string proc = "/proc", uint64_t retire_ns = 30'000'000'000);
  ~Discovery();

  // Looks at all processes. One whose size and start are as before costs one read of its stat file; its mappings are
  // read again only now and then. Processes that disappear while being read are skipped.
  ScanResult scan();
  // Looks at one process now, after an exec or an executable mmap of it. The processes of objects grow by it.
  ScanResult scan_process(int32_t pid);
  // All objects that are mapped or were until a moment ago, hookable or not.
  std::vector<std::shared_ptr<MappedObject>> objects() const;

 private:
  struct State;
  void read_process(int32_t pid, ScanResult &result, bool force);
  void retire(ScanResult &result);
  void list_processes();
  void list_process(int32_t pid);
  std::unique_ptr<State> state_;
};

} // namespace klartext
