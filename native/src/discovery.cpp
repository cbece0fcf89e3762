#include "discovery.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <string_view>
#include <tuple>
#include <unordered_map>

namespace klartext {

namespace {

// Mappings of an unchanged process are read again after this many scans, spread over the processes: a munmap and an mmap
// of equal size leave no trace in its size.
constexpr uint32_t REREAD_SCANS = 40;
// A mapping that cannot be opened (it may be on its way out) is tried again in as many scans.
constexpr uint8_t OPEN_RETRIES_MAX = 3;
constexpr size_t MAPS_BYTES_MAX = size_t{64} << 20; // 65530 mappings (vm.max_map_count) of long paths fit
constexpr size_t FILES_MAX = 65536;                 // distinct executable files mapped on one node
constexpr size_t PLANS_MAX = 1024;
constexpr long OVERLAYFS_MAGIC = 0x794c7630;

uint64_t now_ns() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

// A file as /proc/PID/maps names it.
struct FileKey {
  uint64_t device = 0, inode = 0;
  bool operator==(const FileKey &) const = default;
};
struct FileKeyHash {
  size_t operator()(const FileKey &key) const { return key.inode * 0x9e3779b97f4a7c15u ^ key.device; }
};

// Whether a file is the one that an object holds open, which therefore keeps its inode number. With overlayfs on either
// side, size and modification time stand in for the device.
bool is_same_file(const FileIdentity &held, const FileIdentity &identity) {
  if (held.inode != identity.inode) return false;
  if (held.device != 0 && identity.device != 0) return held.device == identity.device;
  return held.size == identity.size && held.modified_ns == identity.modified_ns;
}

std::string_view base_name(std::string_view path) {
  constexpr std::string_view DELETED = " (deleted)";
  if (path.ends_with(DELETED)) path.remove_suffix(DELETED.size());
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

std::string kind_of(std::string_view name, const ProbePlan &plan) {
  if (name.starts_with("libgnutls.so")) return "gnutls";
  // NSS calls its TLS library libssl3.so; OpenSSL's is libssl.so.3.
  if (name.starts_with("libnspr4.so") || name.starts_with("libssl3.so")) return "nss";
  if (name == "libjvm.so") return "java";
  if (plan.reason.starts_with("go:")) return "go";
  if (name.starts_with("libssl")) return "libssl";
  if (name.starts_with("libcrypto")) return "libcrypto";
  return name.find(".so") == std::string_view::npos ? "executable" : "library";
}

// Why a library that does TLS in its own way has no plan; empty for all others.
std::string_view reason_of(std::string_view kind) {
  if (kind == "gnutls") return "gnutls: not supported yet";
  if (kind == "nss") return "nss: not supported yet";
  if (kind == "java") return "java: not supported yet";
  return "";
}

bool does_tls(const ProbePlan &plan, std::string_view kind) {
  return !plan.points.empty() || plan.reason.starts_with("go:") || plan.reason.starts_with("stripped:") ||
         kind == "libssl" || !reason_of(kind).empty();
}

} // namespace

bool identity_of(int fd, FileIdentity &identity) {
  struct stat status;
  struct statfs system;
  if (fstat(fd, &status) != 0 || fstatfs(fd, &system) != 0) return false;
  identity.device = system.f_type == OVERLAYFS_MAGIC ? 0 : status.st_dev;
  identity.inode = status.st_ino;
  identity.size = static_cast<uint64_t>(status.st_size);
  identity.modified_ns = int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec;
  return true;
}

MappedObject::~MappedObject() {
  if (fd_ >= 0) close(fd_);
}

struct Discovery::State {
  struct File {
    std::shared_ptr<MappedObject> object; // none: nothing to hook and nothing to report
    FileIdentity identity;
    uint32_t processes = 0;
    uint64_t idle_since_ns = 0; // while processes is 0
  };
  struct Process {
    ProcessInfo info;
    uint64_t start_ticks = 0, virtual_bytes = 0, code_start = 0;
    uint32_t seen_in_scan = 0;
    uint8_t open_retries = 0;
    std::vector<FileKey> files; // unique
  };

  PlacementMode mode;
  std::string proc;
  uint64_t retire_ns = 0;
  uint64_t ns_per_tick = 1'000'000'000 / static_cast<uint64_t>(sysconf(_SC_CLK_TCK));
  uint32_t scans = 0;
  std::unordered_map<int32_t, Process> processes;
  std::unordered_map<FileKey, File, FileKeyHash> files;
  std::vector<std::shared_ptr<MappedObject>> objects;
  // Plans of files with a build id, for the same file in other images. Size guards against stripped copies.
  std::unordered_map<std::string, ProbePlan> plans;
  std::string text; // for files of /proc

  std::string folder(int32_t pid) const { return proc + '/' + std::to_string(pid); }
  int open_mapping(int32_t pid, const ExecutableMapping &mapping) const;
  ProbePlan plan_of(int fd, uint64_t size);
  std::shared_ptr<MappedObject> object_of(int fd, const FileIdentity &identity, std::string_view path, ScanResult &result);
  bool refer(int32_t pid, const ExecutableMapping &mapping, ScanResult &result);
  void drop(File &file, ScanResult &result);
  void release(const std::vector<FileKey> &keys);
};

// The mapped file itself, also when its path now leads elsewhere or nowhere.
int Discovery::State::open_mapping(int32_t pid, const ExecutableMapping &mapping) const {
  char range[40];
  char *at = std::to_chars(range, range + sizeof range, mapping.start, 16).ptr;
  *at++ = '-';
  at = std::to_chars(at, range + sizeof range, mapping.end, 16).ptr;
  const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  const int fd = open((folder(pid) + "/map_files/" + std::string(range, at)).c_str(), flags);
  if (fd >= 0) return fd;
  // map_files needs CAP_CHECKPOINT_RESTORE; the path does as long as it still leads to the mapped inode.
  const int by_path = open((folder(pid) + "/root" + std::string(mapping.path)).c_str(), flags);
  struct stat status;
  if (by_path >= 0 && (fstat(by_path, &status) != 0 || status.st_ino != mapping.inode)) {
    close(by_path);
    return -1;
  }
  return by_path;
}

ProbePlan Discovery::State::plan_of(int fd, uint64_t size) {
  ElfFile elf;
  if (!elf.open_fd(fd)) {
    ProbePlan plan;
    plan.reason = elf.reason();
    return plan;
  }
  if (elf.build_id().empty()) return plan_probes(elf, mode);
  const std::string key = elf.build_id() + ':' + std::to_string(size);
  const auto known = plans.find(key);
  if (known != plans.end()) return known->second;
  if (plans.size() >= PLANS_MAX) plans.clear();
  return plans.emplace(key, plan_probes(elf, mode)).first->second;
}

// Takes over `fd`.
std::shared_ptr<MappedObject> Discovery::State::object_of(int fd, const FileIdentity &identity, std::string_view path,
                                                          ScanResult &result) {
  for (const auto &object : objects) {
    if (is_same_file(object->identity, identity)) {
      close(fd);
      return object;
    }
  }
  ProbePlan plan = plan_of(fd, identity.size);
  const std::string kind = kind_of(base_name(path), plan);
  if (!does_tls(plan, kind)) {
    close(fd);
    return nullptr;
  }
  if (plan.points.empty() && !reason_of(kind).empty()) plan.reason = reason_of(kind);
  auto object = std::make_shared<MappedObject>();
  object->identity = identity;
  object->path = path;
  object->kind = kind;
  object->plan = std::move(plan);
  object->fd_ = fd;
  object->attach_path = "/proc/self/fd/" + std::to_string(fd);
  objects.push_back(object);
  result.appeared.push_back(object);
  return object;
}

// Counts one process for a file, looking at the file if it is new. False when it could not be opened: next time again.
bool Discovery::State::refer(int32_t pid, const ExecutableMapping &mapping, ScanResult &result) {
  const FileKey key{mapping.device, mapping.inode};
  auto known = files.find(key);
  if (known != files.end() && known->second.processes > 0) {
    known->second.processes++;
    return true;
  }
  // New, or unmapped for a while, during which the inode number may have gone to another file.
  if (known == files.end() && files.size() >= FILES_MAX) return false;
  const int fd = open_mapping(pid, mapping);
  if (fd < 0) return false;
  result.files_opened++;
  FileIdentity identity;
  if (!identity_of(fd, identity)) {
    close(fd);
    return false;
  }
  if (known != files.end()) {
    File &file = known->second;
    if (file.object ? is_same_file(file.object->identity, identity) : file.identity == identity) {
      close(fd);
      file.processes = 1;
      return true;
    }
    drop(file, result);
    files.erase(known);
  }
  File file;
  file.identity = identity;
  file.processes = 1;
  file.object = object_of(fd, identity, mapping.path, result);
  if (file.object) file.object->mappings_++;
  files.emplace(key, std::move(file));
  return true;
}

// Takes a file off the table's account of its object.
void Discovery::State::drop(File &file, ScanResult &result) {
  if (!file.object || --file.object->mappings_ > 0) return;
  std::erase(objects, file.object);
  result.vanished.push_back(file.object);
}

void Discovery::State::release(const std::vector<FileKey> &keys) {
  for (const FileKey &key : keys) {
    const auto file = files.find(key);
    if (file != files.end() && --file->second.processes == 0) file->second.idle_since_ns = now_ns();
  }
}

Discovery::Discovery(PlacementMode mode, std::string proc, uint64_t retire_ns) : state_(std::make_unique<State>()) {
  state_->retire_ns = retire_ns;
  state_->mode = mode;
  state_->proc = std::move(proc);
}

Discovery::~Discovery() = default;

void Discovery::read_process(int32_t pid, ScanResult &result, bool force) {
  State &state = *state_;
  ProcessStat stat;
  const std::string folder = state.folder(pid);
  if (!read_proc_file(folder + "/stat", state.text, 4096, true) || !parse_stat(state.text, stat) || stat.virtual_bytes == 0) return;
  result.processes++;

  State::Process &process = state.processes[pid];
  if (process.info.pid != 0 && process.start_ticks != stat.start_ticks) {
    state.release(process.files); // the pid went to another process
    process = State::Process{};
  }
  const bool is_new = process.info.pid == 0;
  process.seen_in_scan = state.scans;
  const bool is_changed = is_new || process.virtual_bytes != stat.virtual_bytes || process.code_start != stat.code_start;
  const bool is_due = (state.scans + static_cast<uint32_t>(pid)) % REREAD_SCANS == 0;
  process.info.comm = stat.comm;
  if (!is_changed && !is_due && !force) return;

  if (is_new) {
    process.info.pid = pid;
    process.info.start_ns = stat.start_ticks * state.ns_per_tick;
    process.start_ticks = stat.start_ticks;
  }
  // Read again with the mappings: a process may be moved into its container after it has started.
  if (read_proc_file(folder + "/cgroup", state.text, 64 * 1024)) {
    process.info.cgroup = identity_of_cgroup_file(state.text);
  }
  if (!read_proc_file(folder + "/maps", state.text, MAPS_BYTES_MAX)) return;
  result.processes_read++;

  std::vector<ExecutableMapping> mappings = parse_executable_mappings(state.text);
  const auto key_of = [](const ExecutableMapping &mapping) { return std::tie(mapping.device, mapping.inode); };
  std::sort(mappings.begin(), mappings.end(), [&](const auto &a, const auto &b) { return key_of(a) < key_of(b); });
  const auto end = std::unique(mappings.begin(), mappings.end(), [&](const auto &a, const auto &b) { return key_of(a) == key_of(b); });
  std::vector<FileKey> files;
  bool is_complete = true;
  for (auto mapping = mappings.begin(); mapping != end; ++mapping) {
    // Opening a device may do something.
    if (mapping->path.starts_with("/dev/") && !mapping->path.starts_with("/dev/shm/")) continue;
    if (state.refer(pid, *mapping, result)) {
      files.push_back({mapping->device, mapping->inode});
    } else {
      is_complete = false;
    }
  }
  state.release(process.files); // after the new ones are counted, so that what stays mapped never becomes idle
  process.files = std::move(files);
  if (is_complete) process.open_retries = 0;
  else if (process.open_retries <= OPEN_RETRIES_MAX) process.open_retries++;
  const bool retries = process.open_retries > 0 && process.open_retries <= OPEN_RETRIES_MAX;
  process.virtual_bytes = retries ? 0 : stat.virtual_bytes;
  process.code_start = stat.code_start;
}

ScanResult Discovery::scan() {
  State &state = *state_;
  ScanResult result;
  const uint64_t start = now_ns();
  state.scans++;
  if (DIR *folder = opendir(state.proc.c_str())) {
    while (const dirent *entry = readdir(folder)) {
      const std::string_view name = entry->d_name;
      int32_t pid = 0;
      const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
      if (error == std::errc{} && end == name.data() + name.size() && pid > 0) read_process(pid, result, false);
    }
    closedir(folder);
  }
  for (auto process = state.processes.begin(); process != state.processes.end();) {
    if (process->second.seen_in_scan == state.scans) {
      ++process;
      continue;
    }
    state.release(process->second.files);
    process = state.processes.erase(process);
  }
  retire(result);
  list_processes();
  result.took_ns = now_ns() - start;
  return result;
}

ScanResult Discovery::scan_process(int32_t pid) {
  ScanResult result;
  const uint64_t start = now_ns();
  read_process(pid, result, true);
  list_process(pid);
  result.took_ns = now_ns() - start;
  return result;
}

void Discovery::retire(ScanResult &result) {
  State &state = *state_;
  const uint64_t now = now_ns();
  for (auto file = state.files.begin(); file != state.files.end();) {
    if (file->second.processes > 0 || now - file->second.idle_since_ns < state.retire_ns) {
      ++file;
      continue;
    }
    state.drop(file->second, result);
    file = state.files.erase(file);
  }
}

void Discovery::list_processes() {
  State &state = *state_;
  for (const auto &object : state.objects) object->processes.clear();
  for (const auto &[pid, process] : state.processes) {
    for (const FileKey &key : process.files) {
      const auto file = state.files.find(key);
      if (file != state.files.end() && file->second.object) file->second.object->processes.push_back(process.info);
    }
  }
  for (const auto &object : state.objects) {
    auto &list = object->processes;
    std::sort(list.begin(), list.end(), [](const auto &a, const auto &b) { return a.pid < b.pid; });
    // Two names in maps may lead to one object (two mounts of a file).
    list.erase(std::unique(list.begin(), list.end(), [](const auto &a, const auto &b) { return a.pid == b.pid; }), list.end());
  }
}

void Discovery::list_process(int32_t pid) {
  State &state = *state_;
  const auto process = state.processes.find(pid);
  if (process == state.processes.end()) return;
  for (const FileKey &key : process->second.files) {
    const auto file = state.files.find(key);
    if (file == state.files.end() || !file->second.object) continue;
    auto &list = file->second.object->processes;
    const auto at = std::lower_bound(list.begin(), list.end(), pid, [](const ProcessInfo &info, int32_t wanted) { return info.pid < wanted; });
    if (at == list.end() || at->pid != pid) list.insert(at, process->second.info);
    else *at = process->second.info;
  }
}

std::vector<std::shared_ptr<MappedObject>> Discovery::objects() const { return state_->objects; }

} // namespace klartext
