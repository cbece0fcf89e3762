// What user space keeps of connections: who is at the ends, which way is which, and where each way stands.
// Belongs to the reader thread.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

#include "avro_batch.hpp"
#include "cgroup_name.hpp"
#include "programs.hpp"

namespace klartext {

struct KnownConnection {
  kt_key key{};
  kt_connection kernel{};
  uint64_t conn_id = 0;
  bool tls = false;
  bool client = false;   // this process is the client
  bool settled = false;  // `client` and `guessed` are decided
  bool guessed = false;  // by ports or by who spoke first
  bool gap[2] = {false, false};
  int64_t expected[2] = {0, 0}; // by way
  bool seen[2] = {false, false};
  uint64_t batch = 0;    // the batch `index` is of
  uint32_t index = 0;    // in the batch's connections
};

class ConnectionTable {
 public:
  ConnectionTable(const Programs &programs, uint64_t id_seed) : programs_(programs), id_seed_(id_seed) {}

  // The connection an event is of. `kernel` is what the event carries of it, or nullptr; a connection whose OPEN was lost
  // is looked up in the kernel's map. nullptr for the close of one that was never heard of.
  KnownConnection *find(const kt_event &event, const kt_connection *kernel);
  // Its socket has become known.
  KnownConnection *bind(const kt_event &event, const kt_connection *kernel);
  // Which end this process is, decided with the first bytes, which went `way`. Directions that were handed out stay as
  // they are: a wrong guess is turned as a whole by the decoder.
  static void settle_role(KnownConnection &connection, int way);
  void erase(uint64_t number) { connections_.erase(number); }
  // Segments of the batch never arrived: whoever had one there has a gap.
  void mark_lost(uint64_t batch);
  size_t size() const { return connections_.size(); }
  // What BPF tells of a cgroup, once.
  void learn_cgroup(uint64_t cgroup, const kt_cgroup &names);
  // Nothing of a cgroup that was never told of, which is asked for again.
  const CgroupIdentity &cgroup_of(const KnownConnection &connection);

  template <typename Visit> void each(Visit visit) {
    for (auto &[number, connection] : connections_) visit(number, connection);
  }

 private:
  const Programs &programs_;
  uint64_t id_seed_;
  std::unordered_map<uint64_t, KnownConnection> connections_;
  std::unordered_map<uint64_t, CgroupIdentity> cgroups_;
};

uint64_t mix64(uint64_t value);

} // namespace klartext
