// Memory of encoded batches. It goes to JavaScript and comes back when the garbage collector says so, on any thread.
//
// Blocks of one size, straight from the kernel and kept for the next batch: malloc() would keep all that was ever out at
// once, in pieces of every size, and fresh pages cost more than encoding into them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace klartext {

struct BatchBlock {
  uint8_t *data = nullptr;
  size_t size = 0;
};

// At least `size` bytes; ends the process where there are none.
BatchBlock take_block(size_t size);
void give_block(BatchBlock &block);

} // namespace klartext
