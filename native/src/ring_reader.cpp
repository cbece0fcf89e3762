#include "ring_reader.hpp"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <vector>

namespace klartext {

namespace {

// The kernel wakes the reader when much waits; a little is fetched this often, and less often where there is nothing.
constexpr int POLL_MS = 8;
constexpr int IDLE_POLL_MS = 32;
// In the end, for a program that was preempted between reserving a record and submitting it.
constexpr uint64_t LAST_RECORD_NS = 2'000'000'000;
// Steps of the wall clock (NTP) reach segments after this at the latest.
constexpr uint64_t CALIBRATE_NS = 1'000'000'000;
// TLS objects of processes that ended without freeing them.
constexpr uint64_t SWEEP_NS = 1'000'000'000;

constexpr uint64_t NO_POSITIONS[2] = {0, 0};

uint64_t clock_ns(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000ull + static_cast<uint64_t>(time.tv_nsec);
}

uint64_t seed_of(const ReaderOptions &options) {
  uint64_t seed = clock_ns(CLOCK_REALTIME);
  for (const char character : options.node + options.boot_id) seed = mix64(seed ^ static_cast<uint8_t>(character));
  return seed;
}

} // namespace

RingReader::RingReader(Programs &programs, LibraryWatch &libraries, ReaderOptions options, Deliver deliver)
    : programs_(programs), libraries_(libraries), options_(std::move(options)), deliver_(std::move(deliver)),
      table_(programs, seed_of(options_)) {}

RingReader::~RingReader() { stop(); }

std::string RingReader::start() {
  std::string error = ring_.open(programs_.ring_fd(), programs_.ring_bytes());
  if (!error.empty()) return error;
  calibrate();
  begin_batch();
  thread_ = std::thread([this] { run(); });
  return "";
}

void RingReader::stop() {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
}

size_t RingReader::consume() {
  return ring_.consume([this](const uint8_t *record, size_t size) {
    if (size >= sizeof(kt_event)) handle(*reinterpret_cast<const kt_event *>(record), record + sizeof(kt_event));
  });
}

void RingReader::run() {
  int poll_ms = POLL_MS;
  while (!stopping_) {
    ring_.wait(poll_ms);
    poll_ms = consume() > 0 ? POLL_MS : std::min(2 * poll_ms, IDLE_POLL_MS);
    const uint64_t now = clock_ns(CLOCK_MONOTONIC);
    if (!batch_.is_empty() && now - batch_begun_ns_ >= uint64_t{options_.batch_ms} * 1'000'000) flush();
    if (now - calibrated_ns_ >= CALIBRATE_NS) calibrate();
    if (now - swept_ns_ >= SWEEP_NS) sweep();
  }
  const uint64_t give_up = clock_ns(CLOCK_MONOTONIC) + LAST_RECORD_NS;
  for (consume(); ring_.waiting() > 0 && clock_ns(CLOCK_MONOTONIC) < give_up; consume()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  flush();
}

void RingReader::handle(const kt_event &event, const uint8_t *payload) {
  kt_connection carried{};
  const bool carries = event.kind != KT_EVENT_SEGMENT && event.captured == sizeof(carried);
  if (carries) memcpy(&carried, payload, sizeof(carried));
  const kt_connection *kernel = carries ? &carried : nullptr;
  switch (event.kind) {
    case KT_EVENT_SEGMENT:
      return segment(event, payload);
    case KT_EVENT_OPEN:
      table_.find(event, kernel);
      return;
    case KT_EVENT_BIND: {
      KnownConnection *connection = table_.bind(event, kernel);
      // Before the first bytes there is nobody to tell.
      if (!connection || !connection->settled) return;
      batch_.add_segment(index_of(*connection), Direction::to_server, connection->expected[connection->client ? KT_EGRESS : KT_INGRESS], 0,
                         wall_ns(event.time_ns), KT_BIND, nullptr, 0);
      return;
    }
    case KT_EVENT_CLOSE: {
      KnownConnection *connection = table_.find(event, kernel);
      if (!connection) {
        counts_.unknown_closes += 1;
        return;
      }
      return close(*connection, event.number, event.time_ns, event.flags | (event.carrier ? KT_MUTED : 0), kernel ? kernel->position : NO_POSITIONS);
    }
    case KT_EVENT_UNBOUND:
      return libraries_.arm_memory_bios(event.key.tgid);
    case KT_EVENT_CGROUP:
      if (event.captured == sizeof(kt_cgroup)) table_.learn_cgroup(event.number, *reinterpret_cast<const kt_cgroup *>(payload));
      return;
    case KT_EVENT_EXEC:
      return libraries_.look_at(event.key.tgid);
    default:
      return;
  }
}

void RingReader::segment(const kt_event &event, const uint8_t *payload) {
  KnownConnection *connection = table_.find(event, nullptr);
  if (!connection) return;
  const int way = event.way & 1;
  ConnectionTable::settle_role(*connection, way);
  uint32_t flags = event.flags;
  const auto position = static_cast<int64_t>(event.position);
  // What came before the first segment that arrives is either lost or was never ours to see.
  if (position > connection->expected[way] || connection->gap[way]) flags |= KT_GAP_BEFORE;
  connection->gap[way] = false;
  connection->seen[way] = true;
  if (connection->guessed) flags |= KT_ROLE_GUESSED;
  const int64_t end = position + event.length;
  if (end > connection->expected[way]) connection->expected[way] = end;
  const bool to_server = (way == KT_EGRESS) == connection->client;
  batch_.add_segment(index_of(*connection), to_server ? Direction::to_server : Direction::to_client, position, event.length,
                     wall_ns(event.time_ns), flags, payload, event.captured);
  counts_.segments += 1;
  counts_.payload_bytes += event.captured;
  if (batch_.size() >= options_.batch_bytes) flush();
}

void RingReader::close(KnownConnection &connection, uint64_t number, uint64_t time_ns, uint32_t flags, const uint64_t ends[2]) {
  ConnectionTable::settle_role(connection, KT_EGRESS);
  const uint32_t index = index_of(connection);
  for (const int way : {KT_INGRESS, KT_EGRESS}) {
    const bool to_server = (way == KT_EGRESS) == connection.client;
    batch_.add_segment(index, to_server ? Direction::to_server : Direction::to_client, static_cast<int64_t>(ends[way]), 0,
                       wall_ns(time_ns), flags, nullptr, 0);
  }
  table_.erase(number);
  if (batch_.size() >= options_.batch_bytes) flush();
}

uint32_t RingReader::index_of(KnownConnection &connection) {
  if (connection.batch == batch_number_) return connection.index;
  const kt_connection &kernel = connection.kernel;
  BatchConnection row;
  row.conn_id = connection.conn_id;
  row.transport = kernel.protocol == KT_PROTOCOL_UDP ? Transport::udp : Transport::tcp;
  row.side = connection.client ? CaptureSide::client : CaptureSide::server;
  row.source = connection.tls ? "openssl" : "socket";
  row.client_ip = connection.client ? kernel.local : kernel.peer;
  row.server_ip = connection.client ? kernel.peer : kernel.local;
  row.client_ip_size = row.server_ip_size = kernel.address_size;
  row.client_port = connection.client ? kernel.local_port : kernel.peer_port;
  row.server_port = connection.client ? kernel.peer_port : kernel.local_port;
  row.pid = static_cast<int32_t>(kernel.tgid);
  row.process_start_ns = static_cast<int64_t>(kernel.process_start_ns);
  row.comm = std::string_view(kernel.comm, strnlen(kernel.comm, sizeof(kernel.comm)));
  row.cgroup_id = static_cast<int64_t>(kernel.cgroup_id);
  const CgroupIdentity &cgroup = table_.cgroup_of(connection);
  row.container_id = cgroup.container_id;
  row.pod_uid = cgroup.pod_uid;
  connection.index = batch_.add_connection(row);
  connection.batch = batch_number_;
  return connection.index;
}

void RingReader::begin_batch() {
  BatchHeader header;
  header.cluster = options_.cluster;
  header.node = options_.node;
  header.boot_id = options_.boot_id;
  header.capturer_version = options_.version;
  header.sequence = sequence_++;
  batch_begun_ns_ = clock_ns(CLOCK_MONOTONIC);
  header.base_time_ns = wall_ns(batch_begun_ns_);
  batch_.begin(header);
}

void RingReader::flush() {
  if (!batch_.is_empty()) {
    EncodedBatch encoded = batch_.finish();
    const uint64_t bytes = encoded.payload_bytes;
    if (deliver_(encoded)) {
      counts_.batches += 1;
    } else {
      // The ring must not stall: the batch is lost, counted, and its connections know of it.
      counts_.queue_full_batches += 1;
      counts_.queue_full_bytes += bytes;
      table_.mark_lost(batch_number_);
      free_batch(encoded);
    }
    batch_number_ += 1;
  }
  begin_batch();
  counts_.connections = table_.size();
}

void RingReader::sweep() {
  swept_ns_ = clock_ns(CLOCK_MONOTONIC);
  std::vector<uint64_t> dead;
  table_.each([&](uint64_t number, const KnownConnection &connection) {
    const auto pid = static_cast<pid_t>(connection.kernel.tgid);
    if (connection.tls && pid > 0 && kill(pid, 0) != 0 && errno == ESRCH) dead.push_back(number);
  });
  for (const uint64_t number : dead) {
    kt_event event{};
    event.number = number;
    KnownConnection *connection = table_.find(event, nullptr);
    if (!connection) continue;
    programs_.forget_connection(true, connection->key);
    const uint64_t ends[2] = {static_cast<uint64_t>(connection->expected[0]), static_cast<uint64_t>(connection->expected[1])};
    close(*connection, number, swept_ns_, KT_CLOSE, ends);
  }
}

// The pair of readings that lie closest together tells the offset best.
void RingReader::calibrate() {
  uint64_t best = ~uint64_t{0};
  for (int i = 0; i < 5; i++) {
    const uint64_t before = clock_ns(CLOCK_MONOTONIC);
    const uint64_t wall = clock_ns(CLOCK_REALTIME);
    const uint64_t after = clock_ns(CLOCK_MONOTONIC);
    if (after - before >= best) continue;
    best = after - before;
    wall_offset_ns_ = static_cast<int64_t>(wall) - static_cast<int64_t>(before + (after - before) / 2);
  }
  calibrated_ns_ = clock_ns(CLOCK_MONOTONIC);
}

} // namespace klartext
