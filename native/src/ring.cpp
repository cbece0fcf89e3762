#include "ring.hpp"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

namespace klartext {

std::string Ring::open(int map_fd, size_t size) {
  size_ = size;
  mask_ = size - 1;
  page_ = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const auto failed = [] { return std::string("cannot map the ring: ") + strerror(errno); };
  void *const consumer = mmap(nullptr, page_, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
  if (consumer == MAP_FAILED) return failed();
  consumer_page_ = consumer;
  producer_bytes_ = page_ + size;
  void *const producer = mmap(nullptr, producer_bytes_, PROT_READ, MAP_SHARED, map_fd, static_cast<off_t>(page_));
  if (producer == MAP_FAILED) return failed();
  producer_pages_ = producer;
  consumer_ = static_cast<uint64_t *>(consumer);
  producer_ = static_cast<uint64_t *>(producer);
  data_ = static_cast<uint8_t *>(producer) + page_;
  // By edges: a ring that holds something is always readable, and only what producers say is worth waking for.
  epoll_event wanted{};
  wanted.events = EPOLLIN | EPOLLET;
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_ < 0 || epoll_ctl(epoll_, EPOLL_CTL_ADD, map_fd, &wanted) != 0) return std::string("cannot wait for the ring: ") + strerror(errno);
  return "";
}

Ring::~Ring() {
  if (epoll_ >= 0) ::close(epoll_);
  if (producer_pages_) munmap(producer_pages_, producer_bytes_);
  if (consumer_page_) munmap(consumer_page_, page_);
}

void Ring::wait(int timeout_ms) const {
  epoll_event event;
  epoll_wait(epoll_, &event, 1, timeout_ms);
}

} // namespace klartext
