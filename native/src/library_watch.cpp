#include "library_watch.hpp"

#include <fcntl.h>
#include <glob.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

namespace klartext {

namespace {

// A process maps its libraries within milliseconds of exec, one event each: looked at soon after the first, again where more
// come, but not at once. What was mapped less than SOON_NS before a look may have been missed by it: then once more.
constexpr uint64_t SOON_NS = 2'000'000;
constexpr uint64_t FIRST_PAUSE_NS = 10'000'000;
constexpr uint64_t PAUSE_NS = 50'000'000;
constexpr uint64_t SETTLED_NS = 25'000'000;
constexpr uint64_t ROUND_NS = 1'000'000'000;
constexpr std::chrono::milliseconds IDLE{100};
constexpr std::chrono::milliseconds BUSY{2};
// Package upgrades put other files where well-known libraries were.
constexpr int WELL_KNOWN_ROUNDS = 30;
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

LibraryWatch::LibraryWatch(Programs &programs, PlacementMode mode, uint64_t retire_ns)
    : programs_(programs), mode_(mode), discovery_(mode, "/proc", retire_ns) {}

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
  if (looked_for_.size() >= LOOKED_FOR_MAX && !looked_for_.contains(pid)) return;
  Look &look = looked_for_[pid];
  look.last_event_ns = now_ns();
  if (look.first_event_ns == 0) look.first_event_ns = look.last_event_ns;
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

uint64_t LibraryWatch::Look::due_ns() const {
  if (first_event_ns == 0) return last_event_ns + SETTLED_NS;
  return std::max(first_event_ns + SOON_NS, looked_ns + pause_ns);
}

void LibraryWatch::run() {
  uint64_t next_round = now_ns() + ROUND_NS;
  int rounds = 0;
  for (;;) {
    std::vector<uint32_t> due;
    bool arming = false;
    {
      std::unique_lock lock(mutex_);
      if (looked_for_.empty()) {
        wake_.wait_for(lock, IDLE, [this] { return stopping_ || !to_arm_.empty() || !looked_for_.empty(); });
      } else {
        wake_.wait_for(lock, BUSY, [this] { return stopping_ || !to_arm_.empty(); });
      }
      if (stopping_) return;
      const uint64_t now = now_ns();
      for (auto entry = looked_for_.begin(); entry != looked_for_.end();) {
        Look &look = entry->second;
        if (now < look.due_ns()) {
          ++entry;
          continue;
        }
        if (look.looked_ns < look.last_event_ns + SOON_NS) due.push_back(entry->first);
        look.first_event_ns = 0;
        look.pause_ns = look.looked_ns == 0 ? FIRST_PAUSE_NS : PAUSE_NS;
        look.looked_ns = now;
        entry = now - look.last_event_ns >= SETTLED_NS ? looked_for_.erase(entry) : std::next(entry);
      }
      arming = !to_arm_.empty();
    }
    for (const uint32_t pid : due) take(discovery_.scan_process(static_cast<int32_t>(pid)));
    looks_ += due.size();
    if (arming) arm();
    if (now_ns() >= next_round) {
      take(discovery_.scan());
      next_round = now_ns() + ROUND_NS;
      if (++rounds % WELL_KNOWN_ROUNDS == 0) check_well_known();
    }
  }
}

void LibraryWatch::take(const ScanResult &result) {
  for (const auto &object : result.appeared) {
    uint64_t id = 0;
    bool known = false;
    {
      const std::lock_guard lock(mutex_);
      const auto found = by_file_.find(object->identity);
      known = found != by_file_.end();
      id = known ? found->second : next_id_++;
      by_file_[object->identity] = id;
      ids_[object.get()] = id;
    }
    if (!known) hook(id, object->attach_path, object->path, object->kind, object->plan);
  }
  std::vector<uint64_t> unused;
  for (const auto &object : result.vanished) {
    const std::lock_guard lock(mutex_);
    const auto id = ids_.find(object.get());
    if (id == ids_.end()) continue;
    if (!is_well_known(id->second)) unused.push_back(id->second);
    ids_.erase(id);
  }
  retire(unused);
  const auto objects = discovery_.objects();
  const std::lock_guard lock(mutex_);
  for (auto &[id, state] : states_) state.processes.clear();
  for (const auto &object : objects) {
    const auto id = ids_.find(object.get());
    if (id != ids_.end()) states_[id->second].processes = object->processes;
  }
}

// Probes pin the file and its mount: those of files that nobody uses are taken away, or every image that a node ever ran
// would stay. Well-known ones cost nothing while nobody maps them, and the next process is caught from its first call.
void LibraryWatch::retire(const std::vector<uint64_t> &ids) {
  if (ids.empty()) return;
  programs_.detach(ids);
  const std::lock_guard lock(mutex_);
  for (const uint64_t id : ids) {
    states_.erase(id);
    armed_.erase(id);
    well_known_.erase(id);
    std::erase_if(by_file_, [id](const auto &entry) { return entry.second == id; });
  }
}

// Whether its path still leads to the file that was hooked.
bool LibraryWatch::is_well_known(uint64_t id) const {
  const auto known = well_known_.find(id);
  if (known == well_known_.end()) return false;
  const int fd = ::open(known->second.path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  FileIdentity identity;
  const bool is_same = identity_of(fd, identity) && identity == known->second.identity;
  ::close(fd);
  return is_same;
}

void LibraryWatch::check_well_known() {
  std::unordered_set<uint64_t> used;
  for (const auto &[object, id] : ids_) used.insert(id);
  std::vector<uint64_t> gone;
  for (const auto &[id, known] : well_known_) {
    if (!used.contains(id) && !is_well_known(id)) gone.push_back(id);
  }
  retire(gone);
  hook_well_known();
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
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  FileIdentity identity;
  const bool is_new = identity_of(fd, identity) && !by_file_.contains(identity);
  ::close(fd);
  if (!is_new) return;
  const uint64_t id = next_id_++;
  by_file_[identity] = id;
  well_known_[id] = {path, identity};
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
