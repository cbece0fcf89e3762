// Writes schemas/avro/segment_batch.avsc.
//
// Payload bytes are copied once, to their final place: segments grow upwards from a reserve at the front of the buffer,
// and header, connections and the array's count are written downwards into that reserve by finish(). One core of the test
// machine encodes 48 M empty segments, 25 M of 200 bytes (4.9 GB/s) or 1 M of 16 KiB (17 GB/s) a second (make bench).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "batch_memory.hpp"

namespace klartext {

struct BatchHeader {
  std::string_view cluster, node, boot_id, capturer_version;
  int64_t sequence = 0;
  int64_t base_time_ns = 0; // wall clock, ns since 1970
};

enum class Transport : uint8_t { tcp, udp, unix_socket };
enum class CaptureSide : uint8_t { unknown, client, server };
enum class Direction : uint8_t { to_server, to_client };

struct BatchConnection {
  uint64_t conn_id = 0;
  Transport transport = Transport::tcp;
  CaptureSide side = CaptureSide::unknown;
  std::string_view source;
  const uint8_t *client_ip = nullptr;
  const uint8_t *server_ip = nullptr;
  uint8_t client_ip_size = 0; // 0 (unbound), 4 or 16
  uint8_t server_ip_size = 0;
  uint16_t client_port = 0;
  uint16_t server_port = 0;
  int32_t pid = 0;
  int64_t process_start_ns = 0; // boot clock
  std::string_view comm;        // any bytes: what is not UTF-8 is written as U+FFFD
  int64_t cgroup_id = 0;
  std::string_view container_id;
  std::string_view tls_version;
  std::string_view pod_uid;
};

// A finished batch: `size` bytes at `data`, inside `block`, which free_batch() releases on any thread.
struct EncodedBatch {
  BatchBlock block;
  uint8_t *data = nullptr;
  size_t size = 0;
  uint32_t segments = 0;
  uint32_t connections = 0;
  uint64_t payload_bytes = 0;
};
void free_batch(EncodedBatch &batch);

// One batch at a time; one thread at a time. Strings of the header and of connections are copied when given.
class AvroBatch {
 public:
  // `size_hint`: bytes a batch is expected to reach; buffers start with that much and grow by doubling.
  explicit AvroBatch(size_t size_hint = 320 * 1024);
  ~AvroBatch();
  AvroBatch(const AvroBatch &) = delete;
  AvroBatch &operator=(const AvroBatch &) = delete;

  // Starts an empty batch; one that was not finished is thrown away.
  void begin(const BatchHeader &header);
  // Returns the index that segments name it by. The caller keeps the map from conn_id to index, and adds a connection
  // again when more is known of it. size() counts it, so the batch limit bounds the table too.
  uint32_t add_connection(const BatchConnection &connection);
  void add_segment(uint32_t connection, Direction direction, int64_t position, int64_t length, int64_t time_ns,
                   uint32_t flags, const uint8_t *payload, size_t payload_size);

  // Encoded bytes so far, without the header: what to compare with the batch limit.
  size_t size() const { return connection_bytes_.size() + static_cast<size_t>(write_ - segments_begin_); }
  uint32_t segments() const { return segments_; }
  uint32_t connections() const { return connections_; }
  bool is_empty() const { return segments_ == 0 && connections_ == 0; }

  // Hands the buffer over. The batch is then empty and needs begin().
  EncodedBatch finish();

 private:
  void allocate(size_t front, size_t size);
  void grow(size_t size);
  void reset_counts();

  size_t size_hint_;
  size_t front_size_;                 // reserve of the next buffer; follows what the last batches needed
  BatchBlock block_;
  uint8_t *segments_begin_ = nullptr; // end of the reserve
  uint8_t *write_ = nullptr;
  uint8_t *end_ = nullptr;
  std::string header_;                // encoded, as it will stand in the reserve
  std::string connection_bytes_;
  int64_t base_time_ns_ = 0;
  uint32_t segments_ = 0, connections_ = 0;
  uint64_t payload_bytes_ = 0;
};

} // namespace klartext
