#include "connection_table.hpp"

#include <string.h>

namespace klartext {

namespace {

// A node has some hundred at a time, and new ones with every container that starts; an entry has some 150 bytes.
constexpr size_t CGROUPS_MAX = 16384;

const CgroupIdentity NOTHING_KNOWN;

} // namespace

// Finalizer of SplitMix64: spreads a counter over 64 bits without ever giving two inputs one output.
uint64_t mix64(uint64_t value) {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ull;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebull;
  return value ^ (value >> 31);
}

KnownConnection *ConnectionTable::find(const kt_event &event, const kt_connection *kernel) {
  const auto found = connections_.find(event.number);
  if (found != connections_.end()) return &found->second;
  KnownConnection fresh;
  fresh.tls = event.source == KT_SOURCE_TLS;
  fresh.key = event.key;
  if (kernel) {
    fresh.kernel = *kernel;
  } else if (!programs_.find_connection(fresh.tls, event.key, fresh.kernel) || fresh.kernel.number != event.number) {
    // The map may have gone on to another life of the same key; then only the number and the ways are known.
    if (event.kind == KT_EVENT_CLOSE) return nullptr;
    fresh.kernel = kt_connection{};
    fresh.kernel.number = event.number;
    fresh.kernel.tgid = event.key.tgid;
    fresh.kernel.protocol = KT_PROTOCOL_TCP;
  }
  fresh.conn_id = mix64(id_seed_ + event.number);
  return &connections_.emplace(event.number, std::move(fresh)).first->second;
}

void ConnectionTable::settle_role(KnownConnection &connection, int way) {
  if (connection.settled) return;
  connection.settled = true;
  const kt_connection &kernel = connection.kernel;
  if (kernel.role != KT_ROLE_UNKNOWN) {
    connection.client = kernel.role == KT_ROLE_CLIENT;
    connection.guessed = kernel.protocol == KT_PROTOCOL_UDP;
    return;
  }
  connection.guessed = true;
  // Ports where they are known: the lower one serves. Otherwise who speaks first asks.
  connection.client = kernel.address_size > 0 ? kernel.local_port > kernel.peer_port : way == KT_EGRESS;
}

KnownConnection *ConnectionTable::bind(const kt_event &event, const kt_connection *kernel) {
  KnownConnection *connection = find(event, kernel);
  if (connection && kernel) {
    connection->kernel = *kernel;
    // Its row in the batch is out of date.
    connection->batch = 0;
  }
  return connection;
}

void ConnectionTable::mark_lost(uint64_t batch) {
  for (auto &[number, connection] : connections_) {
    if (connection.batch == batch) connection.gap[0] = connection.gap[1] = true;
  }
}

void ConnectionTable::learn_cgroup(uint64_t cgroup, const kt_cgroup &names) {
  std::string path;
  for (int i = KT_CGROUP_LEVELS - 1; i >= 0; i--) {
    const size_t size = strnlen(names.names[i], KT_CGROUP_NAME);
    if (size > 0) path.append("/").append(names.names[i], size);
  }
  // Who is still in use is told of again.
  if (cgroups_.size() >= CGROUPS_MAX) cgroups_.clear();
  cgroups_[cgroup] = identity_of_cgroup(path);
}

const CgroupIdentity &ConnectionTable::cgroup_of(const KnownConnection &connection) {
  if (connection.kernel.cgroup == 0) return NOTHING_KNOWN;
  const auto found = cgroups_.find(connection.kernel.cgroup);
  if (found != cgroups_.end()) return found->second;
  // Its names were lost on their way: the next connection from there tells them again.
  programs_.forget_cgroup(connection.kernel.cgroup);
  return NOTHING_KNOWN;
}

} // namespace klartext
