// The consumer's side of a BPF ring buffer (kernel/bpf/ringbuf.c: one page with the consumer's position, one with the
// producers', the data after them).
//
// Not libbpf's: that maps the data twice, which counts twice as resident memory, and hands its position back after every
// record, on a cache line that producers on other processors read with every record.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace klartext {

class Ring {
 public:
  Ring() = default;
  Ring(const Ring &) = delete;
  Ring &operator=(const Ring &) = delete;
  ~Ring();

  // `size` is the map's max_entries. "" or what went wrong.
  std::string open(int map_fd, size_t size);
  // Until a producer wakes the reader, or for so long.
  void wait(int timeout_ms) const;
  // Bytes that wait, records under way included.
  size_t waiting() const { return load(producer_) - load(consumer_); }

  // Calls visit(data, size) for each record, up to one that is still being written. The data is gone after the call.
  // Answers how many there were.
  template <typename Visit> size_t consume(Visit visit) {
    size_t records = 0;
    uint64_t at = load(consumer_), told = at;
    while (at < load(producer_)) {
      const uint32_t head = std::atomic_ref(*reinterpret_cast<uint32_t *>(data_ + (at & mask_))).load(std::memory_order_acquire);
      if ((head & BUSY) != 0) break;
      const size_t size = head & ~(BUSY | DISCARD);
      if ((head & DISCARD) == 0) {
        visit(record(at + HEAD_BYTES, size), size);
        records++;
      }
      at += (HEAD_BYTES + size + 7) & ~size_t{7};
      // Room for producers in steps; a ring that is nearly full gets it soon enough.
      if (at - told >= TELL_BYTES) store(told = at);
    }
    if (at != told) store(at);
    return records;
  }

 private:
  static constexpr uint32_t BUSY = 1u << 31, DISCARD = 1u << 30;
  static constexpr size_t HEAD_BYTES = 8;
  static constexpr size_t TELL_BYTES = 64 * 1024;

  static uint64_t load(uint64_t *position) { return std::atomic_ref(*position).load(std::memory_order_acquire); }
  void store(uint64_t position) { std::atomic_ref(*consumer_).store(position, std::memory_order_release); }

  // A record that crosses the end is put together first.
  const uint8_t *record(uint64_t at, size_t size) {
    const size_t from = at & mask_;
    if (from + size <= size_) return data_ + from;
    crossing_.resize(size);
    memcpy(crossing_.data(), data_ + from, size_ - from);
    memcpy(crossing_.data() + (size_ - from), data_, size - (size_ - from));
    return crossing_.data();
  }

  int epoll_ = -1;
  size_t size_ = 0, mask_ = 0;
  void *consumer_page_ = nullptr, *producer_pages_ = nullptr;
  size_t producer_bytes_ = 0, page_ = 0;
  uint64_t *consumer_ = nullptr, *producer_ = nullptr;
  uint8_t *data_ = nullptr;
  std::vector<uint8_t> crossing_;
};

} // namespace klartext
