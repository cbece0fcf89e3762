#include "library_watch.hpp"

#include <fcntl.h>
#include <glob.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

namespace klartext {

namespace {

// A process maps its libraries within milliseconds of exec: looked at soon, and once more when it has settled.
constexpr uint64_t SOON_NS = 1'000'000;
constexpr uint64_t SETTLED_NS = 25'000'000;
constexpr uint64_t ROUND_NS = 1'000'000'000;
// Processes with new code that wait to be looked at; more means a storm that the next round covers.
constexpr size_t LOOKED_FOR_MAX = 4096;

uint64_t now_ns() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000ull + static_cast<uint64_t>(time.tv_nsec);
}

std::string describe_points(const ProbePlan &plan) {
  std::string text;
  for (const ProbePoint &point : plan.points) {
    if (!text.empty()) text += ", ";
    text += point.symbol;
    if (point.entry_cost == Cost::single_step) text += " (single-step)";
  }
  return text;
}

// BIO_write is called for every record of every program that shares a libcrypto. There the growth of memory BIOs tells as
// much and costs the others nothing, so BIO_write waits until an object shows up that has neither socket nor such a BIO.
bool arm_at_once(const ProbePlan &plan) {
  for (const ProbePoint &point : plan.points) {
    if (point.role == Role::bio_write) return plan.kind != LibraryKind::openssl_crypto && point.entry_cost == Cost::emulated;
  }
  return false;
}

} // namespace

LibraryWatch::LibraryWatch(Programs &programs, PlacementMode mode) : programs_(programs), mode_(mode), discovery_(mode) {}

LibraryWatch::~LibraryWatch() { stop(); }

void LibraryWatch::start() {
  hook_well_known();
  take(discovery_.scan());
  thread_ = std::thread([this] { run(); });
}

void LibraryWatch::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void LibraryWatch::look_at(uint32_t pid) {
  const std::lock_guard lock(mutex_);
  if (looked_for_.size() >= LOOKED_FOR_MAX) return;
  looked_for_[pid] = now_ns();
  wake_.notify_one();
}

void LibraryWatch::arm_memory_bios(uint32_t pid) {
  const std::lock_guard lock(mutex_);
  to_arm_.insert(pid);
  wake_.notify_one();
}

std::vector<LibraryState> LibraryWatch::states() const {
  const std::lock_guard lock(mutex_);
  std::vector<LibraryState> all;
  for (const auto &[id, state] : states_) all.push_back(state);
  return all;
}

void LibraryWatch::run() {
  uint64_t next_round = now_ns() + ROUND_NS;
  for (;;) {
    std::vector<uint32_t> due;
    bool arming = false;
    {
      std::unique_lock lock(mutex_);
      const auto pause = looked_for_.empty() ? std::chrono::milliseconds(100) : std::chrono::milliseconds(2);
      wake_.wait_for(lock, pause, [this] { return stopping_ || !to_arm_.empty(); });
      if (stopping_) return;
      const uint64_t now = now_ns();
      for (auto entry = looked_for_.begin(); entry != looked_for_.end();) {
        const uint64_t age = now - entry->second;
        if (age >= SOON_NS) due.push_back(entry->first);
        entry = age >= SETTLED_NS ? looked_for_.erase(entry) : std::next(entry);
      }
      arming = !to_arm_.empty();
    }
    for (const uint32_t pid : due) take(discovery_.scan_process(static_cast<int32_t>(pid)));
    if (arming) arm();
    if (now_ns() >= next_round) {
      take(discovery_.scan());
      next_round = now_ns() + ROUND_NS;
    }
  }
}

void LibraryWatch::take(const ScanResult &result) {
  for (const auto &object : result.appeared) {
    const std::pair inode{object->device, object->inode};
    uint64_t id = 0;
    bool known = false;
    {
      const std::lock_guard lock(mutex_);
      const auto found = by_inode_.find(inode);
      known = found != by_inode_.end();
      id = known ? found->second : next_id_++;
      by_inode_[inode] = id;
      ids_[object.get()] = id;
    }
    if (!known) hook(id, object->attach_path, object->path, object->kind, object->plan);
  }
  for (const auto &object : result.vanished) {
    const std::lock_guard lock(mutex_);
    // Probes stay: an inode that was hooked once costs nothing while nobody maps it, and the next process is caught.
    ids_.erase(object.get());
  }
  const auto objects = discovery_.objects();
  const std::lock_guard lock(mutex_);
  for (auto &[id, state] : states_) state.processes.clear();
  for (const auto &object : objects) {
    const auto id = ids_.find(object.get());
    if (id != ids_.end()) states_[id->second].processes = object->processes;
  }
}

void LibraryWatch::hook(uint64_t id, const std::string &attach_path, const std::string &path, const std::string &kind,
                        const ProbePlan &plan) {
  LibraryState state;
  state.path = path;
  state.kind = kind;
  state.version = plan.version;
  state.build_id = plan.build_id;
  state.reason = plan.reason;
  std::string error;
  size_t attached = 0;
  if (!plan.points.empty()) attached = programs_.attach(id, plan, attach_path, false, error);
  if (mode_ == PlacementMode::emulated && arm_at_once(plan) && programs_.attach(id, plan, attach_path, true, error) > 0) {
    const std::lock_guard lock(mutex_);
    armed_.insert(id);
  }
  state.hooked = attached > 0;
  state.detail = describe_points(plan);
  if (!error.empty()) state.reason = error;
  const std::lock_guard lock(mutex_);
  states_[id] = std::move(state);
}

// Libraries that short-lived programs will load: hooked before the first of them runs.
void LibraryWatch::hook_well_known() {
  for (const char *name : {"libssl", "libcrypto"}) {
    for (const char *folder : {"/usr/lib/*", "/usr/lib64", "/usr/lib", "/lib/*"}) {
      glob_t found{};
      const std::string pattern = std::string(folder) + "/" + name + ".so.*";
      if (glob(pattern.c_str(), GLOB_NOSORT, nullptr, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++) hook_file(found.gl_pathv[i], name);
      }
      globfree(&found);
    }
  }
}

void LibraryWatch::hook_file(const char *path, const char *kind) {
  struct stat stat {};
  if (::stat(path, &stat) != 0) return;
  const std::pair<uint64_t, uint64_t> inode{stat.st_dev, stat.st_ino};
  if (by_inode_.contains(inode)) return;
  const uint64_t id = next_id_++;
  by_inode_[inode] = id;
  hook(id, path, path, kind, plan_probes(path, mode_));
}

// BIO_write is called for every record of every program that shares the library.
void LibraryWatch::arm() {
  std::unordered_set<uint32_t> pids;
  {
    const std::lock_guard lock(mutex_);
    pids.swap(to_arm_);
  }
  for (const auto &object : discovery_.objects()) {
    bool used = false;
    for (const ProcessInfo &process : object->processes) used |= pids.contains(static_cast<uint32_t>(process.pid));
    if (!used) continue;
    uint64_t id = 0;
    {
      const std::lock_guard lock(mutex_);
      const auto found = ids_.find(object.get());
      if (found == ids_.end() || !armed_.insert(found->second).second) continue;
      id = found->second;
    }
    std::string error;
    programs_.attach(id, object->plan, object->attach_path, true, error);
  }
}

} // namespace klartext
