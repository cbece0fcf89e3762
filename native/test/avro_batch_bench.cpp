// Speed of the batch encoder at several payload sizes, batches of 256 KiB, one connection per 16 segments.
#include <chrono>
#include <cstdio>
#include <vector>

#include "avro_batch.hpp"

using namespace klartext;

int main() {
  constexpr size_t BATCH_BYTES = 256 * 1024;
  constexpr double SECONDS = 0.7;
  std::vector<uint8_t> source(64 << 20); // larger than the caches, as a ring is
  for (size_t i = 0; i < source.size(); i++) source[i] = static_cast<uint8_t>(i * 2654435761u >> 24);
  BatchHeader header;
  header.cluster = "cluster";
  header.node = "node-1";
  header.boot_id = "6b1b7a1e-3f5c-4d0e-9a52-0d3a6f1f2c11";
  header.capturer_version = "0.1.0";
  header.base_time_ns = 1'795'000'000'000'000'000;
  BatchConnection connection;
  connection.source = "openssl";
  connection.client_ip = connection.server_ip = source.data();
  connection.client_ip_size = connection.server_ip_size = 4;
  connection.comm = "nginx";

  std::printf("%10s %14s %10s\n", "payload B", "segments/s", "GB/s");
  for (const size_t payload : {0, 64, 200, 512, 1460, 4096, 16384, 65536}) {
    AvroBatch batch;
    uint64_t segments = 0, bytes = 0;
    size_t at = 0;
    const auto start = std::chrono::steady_clock::now();
    double elapsed = 0;
    while (elapsed < SECONDS) {
      header.sequence++;
      batch.begin(header);
      while (batch.size() < BATCH_BYTES) {
        if (batch.segments() % 16 == 0) {
          connection.conn_id = segments;
          batch.add_connection(connection);
        }
        if (at + payload > source.size()) at = 0;
        batch.add_segment(batch.connections() - 1, Direction::to_client, static_cast<int64_t>(at),
                          static_cast<int64_t>(payload), header.base_time_ns + batch.segments() * 1000, 0, &source[at], payload);
        at += payload;
      }
      segments += batch.segments();
      EncodedBatch encoded = batch.finish();
      bytes += encoded.payload_bytes;
      free_batch(encoded);
      elapsed = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    }
    std::printf("%10zu %14.0f %10.2f\n", payload, segments / elapsed, bytes / elapsed / 1e9);
  }
  return 0;
}
