// openCapture(options, onBatch): the running capture as JavaScript sees it.
#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <thread>

#include "addon.hpp"
#include "ring_reader.hpp"

namespace klartext {

namespace {

constexpr const char *LOSS_NAMES[KT_LOSS_COUNT] = {"ring_full", "fault", "too_long", "table_full", "vectors", "no_memory", "not_copied", "muted", "replaced"};
// Batches of 256 KiB between the reader thread and JavaScript.
constexpr uint32_t QUEUE_BATCHES = 128;
constexpr int64_t GARBAGE_WEIGHT = 8;
// Short-lived programs that run every few seconds find their library hooked.
constexpr uint32_t RETIRE_MS = 30'000;

std::string read_line(const char *path) {
  char text[128];
  const int file = ::open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return "";
  const ssize_t size = ::read(file, text, sizeof(text));
  ::close(file);
  std::string line(text, size > 0 ? static_cast<size_t>(size) : 0);
  return line.substr(0, line.find('\n'));
}

struct Options {
  ProgramOptions programs;
  ReaderOptions reader;
  PlacementMode placement = PlacementMode::emulated;
  uint32_t queue_batches = QUEUE_BATCHES;
  uint64_t retire_ns = RETIRE_MS * 1'000'000ull;
};

uint32_t number(const Napi::Object &from, const char *name, uint32_t fallback) {
  const Napi::Value value = from.Get(name);
  return value.IsNumber() ? value.As<Napi::Number>().Uint32Value() : fallback;
}

bool flag(const Napi::Object &from, const char *name, bool fallback) {
  const Napi::Value value = from.Get(name);
  return value.IsBoolean() ? value.As<Napi::Boolean>().Value() : fallback;
}

std::string text(const Napi::Object &from, const char *name) {
  const Napi::Value value = from.Get(name);
  return value.IsString() ? value.As<Napi::String>().Utf8Value() : "";
}

Options read_options(const Napi::Object &from) {
  Options options;
  options.programs.object_path = text(from, "objectPath");
  options.programs.ring_bytes = number(from, "ringBytes", options.programs.ring_bytes);
  options.programs.call_bytes_max = number(from, "callBytesMax", options.programs.call_bytes_max);
  options.programs.tls = flag(from, "tls", true);
  options.programs.plain = flag(from, "plain", true);
  const Napi::Value pids = from.Get("pids");
  if (pids.IsArray()) {
    const auto list = pids.As<Napi::Array>();
    for (uint32_t i = 0; i < list.Length(); i++) options.programs.pids.push_back(list.Get(i).ToNumber().Uint32Value());
  }
  options.reader.cluster = text(from, "cluster");
  options.reader.node = text(from, "node");
  options.reader.version = text(from, "version");
  options.reader.boot_id = read_line("/proc/sys/kernel/random/boot_id");
  options.reader.batch_bytes = number(from, "batchBytes", options.reader.batch_bytes);
  options.reader.batch_ms = number(from, "batchMs", options.reader.batch_ms);
  options.queue_batches = number(from, "queueBatches", QUEUE_BATCHES);
  options.retire_ns = number(from, "retireMs", RETIRE_MS) * 1'000'000ull;
  if (text(from, "placement") == "conventional") options.placement = PlacementMode::conventional;
  return options;
}

// Who waits until every batch has reached JavaScript.
struct HandedOver {
  bool done = false;
  std::vector<Napi::Promise::Deferred> waiting;

  void settle(Napi::Env env) {
    done = true;
    for (const auto &deferred : waiting) deferred.Resolve(env.Undefined());
    waiting.clear();
  }
};

class Capture : public Napi::ObjectWrap<Capture> {
 public:
  static Napi::FunctionReference constructor;

  static void init(Napi::Env env) {
    constructor = Napi::Persistent(DefineClass(env, "Capture",
                                               {InstanceMethod<&Capture::start>("start"), InstanceMethod<&Capture::stats>("stats"),
                                                InstanceMethod<&Capture::libraries>("libraries"), InstanceMethod<&Capture::stop>("stop")}));
    constructor.SuppressDestruct();
  }

  explicit Capture(const Napi::CallbackInfo &info) : Napi::ObjectWrap<Capture>(info) {
    options_ = read_options(info[0].As<Napi::Object>());
    // The finalizer runs when the last queued batch has been handed over, perhaps after this object is gone.
    deliver_ = Napi::ThreadSafeFunction::New(info.Env(), info[1].As<Napi::Function>(), "klartext batches", options_.queue_batches, 1,
                                             [handed_over = handed_over_](Napi::Env env) { handed_over->settle(env); });
    delivering_ = true;
  }

  ~Capture() override {
    halt();
    release();
  }

 private:
  // Throws an Error with one line where the kernel refuses.
  Napi::Value start(const Napi::CallbackInfo &info) {
    const Napi::Env env = info.Env();
    std::string error = programs_.open(options_.programs);
    if (error.empty()) {
      libraries_ = std::make_unique<LibraryWatch>(programs_, options_.placement, options_.retire_ns);
      reader_ = std::make_unique<RingReader>(programs_, *libraries_, options_.reader, [this](EncodedBatch &batch) { return deliver(batch); });
      error = reader_->start();
    }
    if (!error.empty()) {
      Napi::Error::New(env, error).ThrowAsJavaScriptException();
      return env.Undefined();
    }
    if (options_.programs.tls) libraries_->start();
    return env.Undefined();
  }

  // Batches that nobody uses any more wait for the garbage collector, which comes by what it believes to be in use: it is
  // told several times as much, so that some ten of them wait and not a hundred.
  static void press(Napi::Env env, size_t bytes, int sign) {
    Napi::MemoryManagement::AdjustExternalMemory(env, sign * GARBAGE_WEIGHT * static_cast<int64_t>(bytes));
  }

  // Reader thread. The call never blocks; the buffer's memory goes to JavaScript, or stays with the caller.
  bool deliver(EncodedBatch &batch) {
    auto *owned = new EncodedBatch(batch);
    const napi_status status = deliver_.NonBlockingCall(owned, [](Napi::Env env, Napi::Function callback, EncodedBatch *given) {
      // The environment may be going away: then the batch is only freed.
      if (env == nullptr || callback == nullptr) {
        free_batch(*given);
        delete given;
        return;
      }
      press(env, given->block.size, 1);
      auto buffer = Napi::Buffer<uint8_t>::New(env, given->data, given->size, [](Napi::Env env, uint8_t *, EncodedBatch *done) {
        press(env, done->block.size, -1);
        free_batch(*done);
        delete done;
      }, given);
      callback.Call({buffer, Napi::Number::New(env, static_cast<double>(given->payload_bytes))});
    });
    if (status == napi_ok) return true;
    delete owned;
    return false;
  }

  // { segments, payloadBytes, batches, connections, queueFull: {count, bytes}, lost: {reason: {count, bytes}}, seen: … }
  Napi::Value stats(const Napi::CallbackInfo &info) {
    const Napi::Env env = info.Env();
    Napi::Object result = Napi::Object::New(env);
    if (!reader_) return result;
    const ReaderCounts &counts = reader_->counts();
    const auto set = [&](Napi::Object into, const char *name, uint64_t value) { into.Set(name, static_cast<double>(value)); };
    const auto pair = [&](uint64_t count, uint64_t bytes) {
      Napi::Object object = Napi::Object::New(env);
      set(object, "count", count);
      set(object, "bytes", bytes);
      return object;
    };
    set(result, "segments", counts.segments);
    set(result, "payloadBytes", counts.payload_bytes);
    set(result, "batches", counts.batches);
    set(result, "connections", counts.connections);
    set(result, "processLooks", libraries_ ? libraries_->looks() : 0);
    const LossCounts kernel = programs_.counts();
    Napi::Object lost = Napi::Object::New(env);
    for (uint32_t i = 0; i < KT_LOSS_COUNT; i++) lost.Set(LOSS_NAMES[i], pair(kernel.by_reason[i].count, kernel.by_reason[i].bytes));
    lost.Set("queue_full", pair(counts.queue_full_batches, counts.queue_full_bytes));
    result.Set("lost", lost);
    Napi::Object seen = Napi::Object::New(env);
    seen.Set("tls", pair(kernel.seen[KT_SEEN_TLS].count, kernel.seen[KT_SEEN_TLS].bytes));
    seen.Set("socket", pair(kernel.seen[KT_SEEN_SOCKET].count, kernel.seen[KT_SEEN_SOCKET].bytes));
    result.Set("seen", seen);
    return result;
  }

  Napi::Value libraries(const Napi::CallbackInfo &info) {
    const Napi::Env env = info.Env();
    Napi::Array result = Napi::Array::New(env);
    if (!libraries_) return result;
    for (const LibraryState &state : libraries_->states()) {
      Napi::Object object = Napi::Object::New(env);
      object.Set("path", state.path);
      object.Set("kind", state.kind);
      object.Set("version", state.version);
      object.Set("buildId", state.build_id);
      object.Set("hooked", state.hooked);
      object.Set("reason", state.reason);
      object.Set("detail", state.detail);
      Napi::Array processes = Napi::Array::New(env);
      for (const ProcessInfo &process : state.processes) {
        Napi::Object entry = Napi::Object::New(env);
        entry.Set("pid", process.pid);
        entry.Set("comm", process.comm);
        entry.Set("containerId", process.cgroup.container_id);
        processes.Set(processes.Length(), entry);
      }
      object.Set("processes", processes);
      result.Set(result.Length(), object);
    }
    return result;
  }

  // Takes the silent probes away, which may last seconds: nobody waits for it but the process's end.
  class DetachWorker : public Napi::AsyncWorker {
   public:
    DetachWorker(Napi::Env env, Capture &capture)
        : Napi::AsyncWorker(env), capture_(capture), self_(Napi::Persistent(capture.Value())) {}
    void Execute() override { capture_.programs_.detach_all(); }

   private:
    Capture &capture_;
    Napi::ObjectReference self_;
  };

  // Ends the capture off the JavaScript thread; the last batches are in the queue when it is done.
  class StopWorker : public Napi::AsyncWorker {
   public:
    StopWorker(Napi::Env env, Capture &capture) : Napi::AsyncWorker(env), capture_(capture), self_(Napi::Persistent(capture.Value())) {}
    void Execute() override { capture_.halt(); }
    void OnOK() override {
      capture_.release();
      (new DetachWorker(Env(), capture_))->Queue();
    }

   private:
    Capture &capture_;
    Napi::ObjectReference self_;
  };

  // Resolves when all that was captured has been handed to onBatch.
  Napi::Value stop(const Napi::CallbackInfo &info) {
    const Napi::Env env = info.Env();
    const auto deferred = Napi::Promise::Deferred::New(env);
    if (handed_over_->done) {
      deferred.Resolve(env.Undefined());
      return deferred.Promise();
    }
    handed_over_->waiting.push_back(deferred);
    if (handed_over_->waiting.size() == 1) (new StopWorker(env, *this))->Queue();
    return deferred.Promise();
  }

  void halt() {
    if (libraries_) libraries_->stop();
    programs_.pause();
    // A program that was under way on another processor has put its bytes into the ring by then.
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    if (reader_) reader_->stop();
  }

  void release() {
    if (!delivering_) return;
    delivering_ = false;
    deliver_.Release();
  }

  Options options_;
  Programs programs_;
  std::unique_ptr<LibraryWatch> libraries_;
  std::unique_ptr<RingReader> reader_;
  std::shared_ptr<HandedOver> handed_over_ = std::make_shared<HandedOver>();
  Napi::ThreadSafeFunction deliver_;
  bool delivering_ = false;
};

Napi::FunctionReference Capture::constructor;

Napi::Value open_capture(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  if (info.Length() < 2 || !info[0].IsObject() || !info[1].IsFunction()) {
    Napi::TypeError::New(env, "openCapture(options, onBatch): an object and a function").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  return Capture::constructor.New({info[0], info[1]});
}

} // namespace

void init_capture(Napi::Env env, Napi::Object exports) {
  Capture::init(env);
  exports.Set("openCapture", Napi::Function::New(env, open_capture, "openCapture"));
}

} // namespace klartext
