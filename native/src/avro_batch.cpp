#include "avro_batch.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace klartext {

namespace {

constexpr int32_t FORMAT_VERSION = 2;
constexpr size_t VARINT_BYTES_MAX = 10;
// connection, direction, position, length, time offset, flags and the payload's size, each at its longest, and the
// zero that ends the array.
constexpr size_t SEGMENT_OVERHEAD_MAX = 7 * VARINT_BYTES_MAX + 1;
// Header strings are some hundred bytes; three connections fit beside them.
constexpr size_t FRONT_BYTES_MIN = 1024;

inline uint8_t *put_varint(uint8_t *at, uint64_t value) {
  while (value >= 0x80) {
    *at++ = static_cast<uint8_t>(value) | 0x80;
    value >>= 7;
  }
  *at++ = static_cast<uint8_t>(value);
  return at;
}

// Avro's int and long: zig-zag, then base 128 with the low group first.
inline uint8_t *put_long(uint8_t *at, int64_t value) {
  return put_varint(at, (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63));
}

void append_long(std::string &out, int64_t value) {
  uint8_t bytes[VARINT_BYTES_MAX];
  const uint8_t *end = put_long(bytes, value);
  out.append(reinterpret_cast<const char *>(bytes), static_cast<size_t>(end - bytes));
}

void append_bytes(std::string &out, const void *data, size_t size) {
  append_long(out, static_cast<int64_t>(size));
  if (size > 0) out.append(static_cast<const char *>(data), size);
}

// Length of the well-formed UTF-8 sequence at `at` (RFC 3629 section 4), 0 if there is none.
size_t utf8_sequence(const uint8_t *at, const uint8_t *end) {
  const uint8_t lead = *at;
  if (lead < 0x80) return 1;
  size_t size;
  uint8_t low = 0x80, high = 0xbf;
  if (lead >= 0xc2 && lead <= 0xdf) {
    size = 2;
  } else if (lead >= 0xe0 && lead <= 0xef) {
    size = 3;
    if (lead == 0xe0) low = 0xa0;
    if (lead == 0xed) high = 0x9f;
  } else if (lead >= 0xf0 && lead <= 0xf4) {
    size = 4;
    if (lead == 0xf0) low = 0x90;
    if (lead == 0xf4) high = 0x8f;
  } else {
    return 0;
  }
  if (static_cast<size_t>(end - at) < size || at[1] < low || at[1] > high) return 0;
  for (size_t i = 2; i < size; i++) {
    if ((at[i] & 0xc0) != 0x80) return 0;
  }
  return size;
}

// An Avro string is UTF-8; a process may call itself anything.
void append_string(std::string &out, std::string_view text) {
  const auto *at = reinterpret_cast<const uint8_t *>(text.data());
  const auto *end = at + text.size();
  const uint8_t *valid = at;
  while (valid < end) {
    const size_t size = utf8_sequence(valid, end);
    if (size == 0) break;
    valid += size;
  }
  if (valid == end) return append_bytes(out, text.data(), text.size());

  std::string clean(text.substr(0, static_cast<size_t>(valid - at)));
  while (valid < end) {
    const size_t size = utf8_sequence(valid, end);
    if (size == 0) {
      clean += "\xef\xbf\xbd";
      valid++;
    } else {
      clean.append(reinterpret_cast<const char *>(valid), size);
      valid += size;
    }
  }
  append_bytes(out, clean.data(), clean.size());
}

} // namespace

void free_batch(EncodedBatch &batch) {
  give_block(batch.block);
  batch = EncodedBatch{};
}

AvroBatch::AvroBatch(size_t size_hint) : size_hint_(size_hint), front_size_(FRONT_BYTES_MIN) {}

AvroBatch::~AvroBatch() { give_block(block_); }

void AvroBatch::begin(const BatchHeader &header) {
  reset_counts();
  header_.clear();
  connection_bytes_.clear();
  append_long(header_, FORMAT_VERSION);
  append_string(header_, header.cluster);
  append_string(header_, header.node);
  append_string(header_, header.boot_id);
  append_string(header_, header.capturer_version);
  append_long(header_, header.sequence);
  append_long(header_, header.base_time_ns);
  base_time_ns_ = header.base_time_ns;
  if (block_.data == nullptr) allocate(front_size_, size_hint_);
  write_ = segments_begin_;
}

uint32_t AvroBatch::add_connection(const BatchConnection &connection) {
  std::string &out = connection_bytes_;
  uint8_t id[8];
  for (int i = 0; i < 8; i++) id[i] = static_cast<uint8_t>(connection.conn_id >> (56 - 8 * i));
  out.append(reinterpret_cast<const char *>(id), sizeof id);
  append_long(out, static_cast<int64_t>(connection.transport));
  append_long(out, static_cast<int64_t>(connection.side));
  append_string(out, connection.source);
  append_bytes(out, connection.client_ip, connection.client_ip_size);
  append_long(out, connection.client_port);
  append_bytes(out, connection.server_ip, connection.server_ip_size);
  append_long(out, connection.server_port);
  append_long(out, connection.pid);
  append_long(out, connection.process_start_ns);
  append_string(out, connection.comm);
  append_long(out, connection.cgroup_id);
  append_string(out, connection.container_id);
  append_string(out, connection.tls_version);
  append_string(out, connection.pod_uid);
  return connections_++;
}

void AvroBatch::add_segment(uint32_t connection, Direction direction, int64_t position, int64_t length, int64_t time_ns,
                            uint32_t flags, const uint8_t *payload, size_t payload_size) {
  const size_t size_max = SEGMENT_OVERHEAD_MAX + payload_size;
  if (static_cast<size_t>(end_ - write_) < size_max) grow(size_max);
  uint8_t *at = write_;
  at = put_long(at, connection);
  at = put_long(at, static_cast<int64_t>(direction));
  at = put_long(at, position);
  at = put_long(at, length);
  // Wraps instead of overflowing for times that are no times; the reader's addition wraps back.
  at = put_long(at, static_cast<int64_t>(static_cast<uint64_t>(time_ns) - static_cast<uint64_t>(base_time_ns_)));
  at = put_long(at, static_cast<int32_t>(flags));
  at = put_long(at, static_cast<int64_t>(payload_size));
  if (payload_size > 0) std::memcpy(at, payload, payload_size);
  write_ = at + payload_size;
  payload_bytes_ += payload_size;
  segments_++;
}

EncodedBatch AvroBatch::finish() {
  const size_t front = header_.size() + connection_bytes_.size() + 2 * VARINT_BYTES_MAX + 1;
  if (block_.data == nullptr) allocate(front, size_hint_);
  if (static_cast<size_t>(segments_begin_ - block_.data) < front) {
    BatchBlock old = block_;
    const uint8_t *const old_segments = segments_begin_;
    const size_t segment_bytes = static_cast<size_t>(write_ - segments_begin_);
    allocate(front, segment_bytes + 1);
    std::memcpy(segments_begin_, old_segments, segment_bytes);
    write_ = segments_begin_ + segment_bytes;
    give_block(old);
  }
  if (end_ == write_) grow(1);
  *write_++ = 0; // the end of the array, or the empty array

  // The reserve is filled from its end towards the front: segment count, connections, header.
  uint8_t number[VARINT_BYTES_MAX];
  uint8_t *at = segments_begin_;
  const auto put_before = [&at](const void *data, size_t size) {
    at -= size;
    std::memcpy(at, data, size);
  };
  const auto put_count = [&](uint32_t count) {
    put_before(number, static_cast<size_t>(put_long(number, count) - number));
  };
  if (segments_ > 0) put_count(segments_);
  put_count(0); // the end of the connections
  if (connections_ > 0) {
    put_before(connection_bytes_.data(), connection_bytes_.size());
    put_count(connections_);
  }
  put_before(header_.data(), header_.size());

  // Room for the connections of a batch like this one, so that next time nothing moves.
  front_size_ = (front_size_ * 7 + front * 2) / 8;
  if (front_size_ < front) front_size_ = front + front / 4;
  if (front_size_ < FRONT_BYTES_MIN) front_size_ = FRONT_BYTES_MIN;

  EncodedBatch batch;
  batch.block = std::exchange(block_, BatchBlock{});
  batch.data = at;
  batch.size = static_cast<size_t>(write_ - at);
  batch.segments = segments_;
  batch.connections = connections_;
  batch.payload_bytes = payload_bytes_;
  segments_begin_ = write_ = end_ = nullptr;
  reset_counts();
  return batch;
}

void AvroBatch::reset_counts() {
  segments_ = 0;
  connections_ = 0;
  payload_bytes_ = 0;
}

void AvroBatch::allocate(size_t front, size_t size) {
  block_ = take_block(front + size);
  segments_begin_ = write_ = block_.data + front;
  end_ = block_.data + block_.size;
}

void AvroBatch::grow(size_t size) {
  const size_t front = static_cast<size_t>(segments_begin_ - block_.data);
  const size_t used = static_cast<size_t>(write_ - block_.data);
  BatchBlock old = block_;
  block_ = take_block(std::max(2 * old.size, used + size));
  std::memcpy(block_.data + front, old.data + front, used - front);
  give_block(old);
  segments_begin_ = block_.data + front;
  write_ = block_.data + used;
  end_ = block_.data + block_.size;
}

} // namespace klartext
