#include "connection_table.hpp"

#include "procfs.hpp"

namespace klartext {

namespace {

// Processes whose container is remembered; one entry is some 100 bytes, a node has a few thousand.
constexpr size_t PROCESSES_MAX = 16384;
constexpr size_t CGROUP_BYTES_MAX = 16384;

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
  fresh.container_id = container_of(fresh.kernel.tgid, fresh.kernel.process_start_ns);
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

const std::string &ConnectionTable::container_of(uint32_t pid, uint64_t start_ns) {
  if (processes_.size() > PROCESSES_MAX) processes_.clear();
  Process &process = processes_[pid];
  if (process.start_ns != start_ns || start_ns == 0) {
    process.start_ns = start_ns;
    std::string cgroup;
    read_proc_file("/proc/" + std::to_string(pid) + "/cgroup", cgroup, CGROUP_BYTES_MAX);
    process.container_id = container_id_of_cgroup(cgroup);
  }
  return process.container_id;
}

} // namespace klartext
