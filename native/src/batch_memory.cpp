#include "batch_memory.hpp"

#include <sys/mman.h>

#include <array>
#include <cstdlib>
#include <mutex>

namespace klartext {

namespace {

// A batch of 256 KiB with its last record and connections.
constexpr size_t BLOCK_BYTES = 384 * 1024;
constexpr size_t SPARE_BLOCKS_MAX = 8;

std::mutex spare_mutex;
std::array<uint8_t *, SPARE_BLOCKS_MAX> spare;
size_t spare_count = 0;

uint8_t *take_spare() {
  const std::lock_guard lock(spare_mutex);
  return spare_count > 0 ? spare[--spare_count] : nullptr;
}

bool keep_spare(uint8_t *data) {
  const std::lock_guard lock(spare_mutex);
  if (spare_count == SPARE_BLOCKS_MAX) return false;
  spare[spare_count++] = data;
  return true;
}

} // namespace

BatchBlock take_block(size_t size) {
  // Small ones are those of tests.
  const bool is_usual = size <= BLOCK_BYTES && size > BLOCK_BYTES / 2;
  if (is_usual) {
    if (uint8_t *const data = take_spare()) return {data, BLOCK_BYTES};
  }
  const size_t taken = is_usual ? BLOCK_BYTES : size;
  void *const data = mmap(nullptr, taken, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) std::abort();
  return {static_cast<uint8_t *>(data), taken};
}

void give_block(BatchBlock &block) {
  if (block.data && !(block.size == BLOCK_BYTES && keep_spare(block.data))) munmap(block.data, block.size);
  block = BatchBlock{};
}

} // namespace klartext
