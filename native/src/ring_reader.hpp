// The one thread that reads the ring: events become segments of Avro batches, each handed on once.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>

#include "avro_batch.hpp"
#include "connection_table.hpp"
#include "library_watch.hpp"
#include "programs.hpp"
#include "ring.hpp"

namespace klartext {

struct ReaderOptions {
  std::string cluster, node, boot_id, version;
  uint32_t batch_bytes = 256 * 1024;
  uint32_t batch_ms = 20;
};

struct ReaderCounts {
  std::atomic<uint64_t> segments{0}, payload_bytes{0}, batches{0};
  // Batches that the other side of the queue had no room for.
  std::atomic<uint64_t> queue_full_batches{0}, queue_full_bytes{0};
  std::atomic<uint64_t> connections{0}, unknown_closes{0};
};

class RingReader {
 public:
  // Takes the batch and answers true, or leaves it and answers false at once where there is no room. Reader thread.
  using Deliver = std::function<bool(EncodedBatch &batch)>;

  RingReader(Programs &programs, LibraryWatch &libraries, ReaderOptions options, Deliver deliver);
  ~RingReader();

  std::string start();
  // Reads what the ring holds to its end, delivers the last batch, joins the thread.
  void stop();
  const ReaderCounts &counts() const { return counts_; }

 private:
  size_t consume();
  void run();
  void handle(const kt_event &event, const uint8_t *payload);
  void segment(const kt_event &event, const uint8_t *payload);
  void close(KnownConnection &connection, uint64_t number, uint64_t time_ns, uint32_t flags, const uint64_t ends[2]);
  uint32_t index_of(KnownConnection &connection);
  void begin_batch();
  void flush();
  void sweep();
  int64_t wall_ns(uint64_t monotonic_ns) const { return static_cast<int64_t>(monotonic_ns) + wall_offset_ns_; }
  void calibrate();

  Programs &programs_;
  LibraryWatch &libraries_;
  ReaderOptions options_;
  Deliver deliver_;
  ConnectionTable table_;
  AvroBatch batch_;
  ReaderCounts counts_;
  Ring ring_;
  std::thread thread_;
  std::atomic<bool> stopping_{false};
  uint64_t batch_number_ = 1;
  uint64_t batch_begun_ns_ = 0;
  int64_t sequence_ = 0;
  int64_t wall_offset_ns_ = 0;
  uint64_t calibrated_ns_ = 0;
  uint64_t swept_ns_ = 0;
};

} // namespace klartext
